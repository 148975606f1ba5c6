// exp() from Vec's own operations: 2^n * p(r), |r| <= ln(2)/2. Included by the SIMD vec_*.h, inside their
// namespace.
//
// Relative error below 2e-7 over [-87, 88]; smaller arguments give 0 (what a softmax wants), larger ones
// 2^128 = inf. Coefficients: the Taylor terms, exact enough at degree 7 for this range.
inline Vec exp(Vec x) {
  x = min(x, Vec::set1(88.3f));
  const Vec lo = Vec::set1(-87.3f);
  const Vec n = round_to_int(x * Vec::set1(1.44269504f));
  Vec r = fma(n, Vec::set1(-0.693359375f), x);  // ln 2 in two parts: n * (first part) is exact
  r = fma(n, Vec::set1(2.12194440e-4f), r);
  Vec p = Vec::set1(1.9841270e-4f);
  p = fma(p, r, Vec::set1(1.3888889e-3f));
  p = fma(p, r, Vec::set1(8.3333333e-3f));
  p = fma(p, r, Vec::set1(4.1666667e-2f));
  p = fma(p, r, Vec::set1(1.6666667e-1f));
  p = fma(p, r, Vec::set1(0.5f));
  p = fma(p, r, Vec::set1(1.0f));
  p = fma(p, r, Vec::set1(1.0f));
  return zero_where_less(scale_by_power_of_two(p, n), x, lo);
}

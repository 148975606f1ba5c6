#include "kernels/cpu/vec_avx512.h"
// The body needs Vec first.
#include "kernels/cpu/products_body.h"

namespace ds::kernels {

extern const ProductKernel kProduct_avx512 = {"avx512", kTileRows, kTileCols, product_tile};

}  // namespace ds::kernels

#include "kernels/cpu/vec_avx2.h"
// The body needs Vec first.
#include "kernels/cpu/products_body.h"

namespace ds::kernels {

extern const ProductKernel kProduct_avx2 = {"avx2", kTileRows, kTileCols, product_tile};

}  // namespace ds::kernels

#include "kernels/cpu/vec_scalar.h"
// The body needs Vec first.
#include "kernels/cpu/products_body.h"

namespace ds::kernels {

extern const ProductKernel kProduct_scalar = {"scalar", kTileRows, kTileCols, product_tile};

}  // namespace ds::kernels

// Weight normalisation.
#pragma once

#include <cstddef>

namespace wavcodes {

// Rows (rows, length) with the direction of the given ones and lengths of their own: magnitude * direction / |direction|.
// The squares are summed in float64, one after the other, so that the weights are the same on every processor.
void fold(const float* magnitude, const float* direction, size_t rows, size_t length, float* out);

}  // namespace wavcodes

#include "fold.h"

#include <algorithm>
#include <cmath>

namespace wavcodes {

void fold(const float* magnitude, const float* direction, size_t rows, size_t length, float* out) {
    constexpr size_t side = 8;  // rows whose sums, each in order, are made side by side: an addition takes its time
    for (size_t first = 0; first < rows; first += side) {
        const float* row[side];
        for (size_t r = 0; r < side; r++) row[r] = direction + std::min(first + r, rows - 1) * length;
        double sums[side] = {};
        for (size_t i = 0; i < length; i++)
            for (size_t r = 0; r < side; r++) {
                const double value = row[r][i];
                sums[r] += value * value;
            }
        for (size_t r = 0; r < std::min(side, rows - first); r++) {
            const float scale = magnitude[first + r] / float(std::sqrt(sums[r]));
            float* to = out + (first + r) * length;
            for (size_t i = 0; i < length; i++) to[i] = row[r][i] * scale;
        }
    }
}

}  // namespace wavcodes

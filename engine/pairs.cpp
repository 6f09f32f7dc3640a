#include "pairs.h"

namespace wavcodes {
namespace {

std::vector<ColumnRange> all(int columns) { return {{0, columns, 0}}; }

float nothing(int) { return 0.0f; }

}  // namespace

Pairs::Pairs(const Kernels& kernels, int width, int columns, const std::function<float(int, int)>& value,
             const std::function<float(int)>& bias)
    : kernels_(kernels),
      width_(width),
      middle_(
          kernels, width, all(columns),
          [&](int i, int j) { return float(double(value(i, j)) + double(value(i + width, j))); }, bias),
      even_(
          kernels, width, all(columns), [&](int i, int j) { return -value(i, j); }, nothing),
      odd_(
          kernels, width, all(columns), [&](int i, int j) { return value(i + width, j); }, nothing) {}

void Pairs::apply(const float* x, size_t position, int rows, const Matrix::Output& output, int threads) const {
    thread_local Floats differences, middles;
    const size_t width = width_;
    float* e = differences.room(rows * width);
    kernels_.subtract(x + width, x, e, rows * width);

    const int first_odd = position % 2;  // a pair whose even output was given before
    const int pairs = (rows + first_odd + 1) / 2;
    const ptrdiff_t row = width_, middle_stride = middle_.padded_columns();
    float* m = middles.room(size_t(pairs) * middle_stride);
    Segment window{x + (first_odd ? 0 : row), 2 * row, width_};
    middle_.apply({&window, 1}, 0, pairs, {m, middle_stride}, threads);

    Matrix::Output half = output;  // of every other row
    half.stride = 2 * output.stride;
    half.add_stride = 2 * output.add_stride;
    auto skip_to = [&](int row) {
        half.out = output.out + row * output.stride;
        half.add = output.add ? output.add + row * output.add_stride : nullptr;
    };
    const int evens = (rows + 1 - first_odd) / 2, odds = (rows + first_odd) / 2;
    if (evens) {
        window.x = e + first_odd * row;
        skip_to(first_odd);
        half.start = m + first_odd * middle_stride;
        even_.apply({&window, 1}, 0, evens, half, threads);
    }
    if (odds) {
        window.x = e + (1 - first_odd) * row;
        skip_to(1 - first_odd);
        half.start = m;
        odd_.apply({&window, 1}, 0, odds, half, threads);
    }
}

}  // namespace wavcodes

#include "bfloat16_matrix.h"

#include <cmath>

#include "threads.h"

namespace wavcodes {
namespace {

constexpr int block = Bfloat16Product::block, tile = Bfloat16Product::tile, part = Bfloat16Product::part;
constexpr int most_columns = tile * Bfloat16Product::most_tiles, most_rows = most_columns;
constexpr size_t least_share = 1 << 14;  // values to split that are worth a thread

int blocks_of(int width) { return (width + block - 1) / block; }

}  // namespace

Bfloat16Matrix::Bfloat16Matrix(const Kernels& kernels, int taps, int width, int extra, int columns, const Values& values,
                               const std::function<float(int)>& bias)
    : kernels_(kernels), taps_(taps), width_(width), extra_(extra), bias_(blocks_of(columns) * block) {
    const size_t blocks = size_t(taps) * blocks_of(width) + blocks_of(extra);
    size_t total = 0;
    for (int column = 0; column < columns; column += most_columns) {
        const int count = std::min(most_columns, columns - column), tiles = (count + tile - 1) / tile;
        panels_.push_back({column, count, tiles, total});
        total += blocks * 2 * tiles * part;
    }
    weights_ = Pages<uint16_t>(total);
    for (const Panel& panel : panels_) pack(panel, values);
    std::fill_n(bias_.data(), bias_.size(), 0.0f);
    for (int j = 0; j < columns; j++)
        if (const float b = bias(j); std::fabs(b) >= 0x1p-96f) bias_.data()[j] = b;
}

void Bfloat16Matrix::pack(const Panel& panel, const Values& values) {
    float rows[block * most_columns];
    uint16_t parts[2][block * most_columns];
    uint16_t* out = weights_.data() + panel.weights;
    auto pack_block = [&](int first, int count) {
        std::fill(std::begin(rows), std::end(rows), 0.0f);
        for (int i = 0; i < count; i++) values(first + i, panel.column, panel.width, rows + i * most_columns);
        kernels_.bfloat16->split({rows, most_columns, block, most_columns, parts[0], 0, std::end(parts[0]) - parts[0]});
        for (const auto& from : {parts[1], parts[0]})
            for (int n = 0; n < panel.tiles; n++, out += part)
                for (int i = 0; i < block; i++)
                    for (int j = 0; j < tile; j++)
                        out[(i / 2 * tile + j) * 2 + i % 2] = from[i * most_columns + n * tile + j];
    };
    for (int i = 0; i < width_; i += block)
        for (int k = 0; k < taps_; k++) pack_block(k * width_ + i, std::min(block, width_ - i));
    for (int i = 0; i < extra_; i += block) pack_block(taps_ * width_ + i, std::min(block, extra_ - i));
}

void Bfloat16Matrix::apply(const Input& input, const Segment* extra, int rows, const Matrix::Output& output,
                           int threads) const {
    thread_local Buffer<uint16_t> room;
    // Each value is split once, however many windows it belongs to.
    const int own_rows = (rows - 1) * input.step + (taps_ - 1) * input.tap + 1;
    const ptrdiff_t own = ptrdiff_t(own_rows) * block * blocks_of(width_);
    const ptrdiff_t low = own + ptrdiff_t(rows) * block * blocks_of(extra_);
    uint16_t* parts = room.room(2 * low);
    auto split = [&](const float* x, ptrdiff_t stride, int count, int width, uint16_t* out) {
        const int shares = int(std::clamp<size_t>(size_t(count) * width / least_share, 1, threads));
        parallel(shares, [&](int i) {
            const int first = int(int64_t(count) * i / shares), last = int(int64_t(count) * (i + 1) / shares);
            kernels_.bfloat16->split({x + first * stride, stride, last - first, width, out + ptrdiff_t(first) * block,
                                      ptrdiff_t(count) * block, low});
        });
    };
    split(input.x, input.row, own_rows, width_, parts);
    if (extra) split(extra->x, extra->stride, rows, extra_, parts + own);

    const Bfloat16Window windows[] = {
        {parts, blocks_of(width_), taps_, ptrdiff_t(own_rows) * block, ptrdiff_t(input.step) * block,
         ptrdiff_t(input.tap) * block},
        {parts + own, blocks_of(extra_), 1, ptrdiff_t(rows) * block, block, 0},
    };
    const std::span<const Bfloat16Window> used(windows, extra ? 2 : 1);
    share_out(rows, most_rows, int(panels_.size()), threads, [&](int first, int last, int first_panel, int last_panel) {
        apply_range(used, low, first, last, first_panel, last_panel, output);
    });
}

void Bfloat16Matrix::apply_range(std::span<const Bfloat16Window> windows, ptrdiff_t low, int first_row, int last_row,
                                 int first_panel, int last_panel, const Matrix::Output& output) const {
    Bfloat16Window moved[2];
    for (size_t i = 0; i < windows.size(); i++) {
        moved[i] = windows[i];
        moved[i].x += first_row * moved[i].step;
    }
    for (int index = first_panel; index < last_panel; index++) {
        const Panel& panel = panels_[index];
        const Product product{nullptr, 0, nullptr, bias_.data() + panel.column, 0, last_row - first_row,
                              output.out + first_row * output.stride + panel.column, output.stride, panel.width,
                              output.add ? output.add + first_row * output.add_stride + panel.column : nullptr,
                              output.add_stride, output.function.from(panel.column), nullptr};
        kernels_.bfloat16->product({moved, int(windows.size()), low, weights_.data() + panel.weights, panel.tiles, product,
                                    kernels_.finish});
    }
}

}  // namespace wavcodes

#include "norms.h"

#include <cmath>

#include "threads.h"

namespace wavcodes {
namespace {

Floats copied(Tensor tensor, int channels) {
    Floats f(channels);
    std::copy_n(tensor.data, channels, f.data());
    return f;
}

// Sums over all rows are summed up in blocks of this many, and the sums of the blocks in float64 and in order.
constexpr size_t block_rows = 64;

struct GroupState : State {
    size_t summed = 0;  // rows, while the signal still comes
    double sum = 0;     // of their values
    Buffer<double> sums;
    Floats scale, shift;  // of each channel, once they are known
};

}  // namespace

LayerNorm::LayerNorm(const Kernels& kernels, int channels, Tensor weight, Tensor bias, float eps)
    : Layer(channels, channels),
      kernels_(kernels),
      weight_(copied(weight, channels)),
      bias_(copied(bias, channels)),
      eps_(eps) {
    limit = piece_rows(channels);
}

void LayerNorm::apply(const float* x, size_t rows, float* y, int threads) const {
    const size_t parts = std::min<size_t>(threads, rows);
    parallel(int(parts), [&](int i) {
        const size_t first = rows * i / parts, last = rows * (i + 1) / parts;
        kernels_.layer_norm(x + first * in_channels, int(last - first), in_channels, weight_.data(), bias_.data(), eps_,
                            y + first * in_channels);
    });
}

void LayerNorm::run(State&, Rows& in, Rows& out, size_t steps, int threads) const {
    const float* x = in.row(0);
    apply(x, steps, out.append(steps), threads);
    in.drop(steps);
}

GroupNorm::GroupNorm(const Kernels& kernels, int channels, Tensor weight, Tensor bias, float eps)
    : Fusing(channels, channels),
      kernels_(kernels),
      weight_(copied(weight, channels)),
      bias_(copied(bias, channels)),
      eps_(eps) {
    limit = piece_rows(channels);
}

std::unique_ptr<State> GroupNorm::start(Rows&, Origin) const { return std::make_unique<GroupState>(); }

// The mean is summed up while rows come, and so while they are in the cache.
size_t GroupNorm::ready(const State& s, const Rows& in) const {
    const auto& state = static_cast<const GroupState&>(s);
    return state.finished ? in.size() : (in.size() - state.summed) / block_rows * block_rows;
}

void GroupNorm::run(State& s, Rows& in, Rows& out, size_t steps, int threads) const {
    auto& state = static_cast<GroupState&>(s);
    // `sum`, and the sums of blocks of rows from row `first` on: of x - center, or of its square.
    auto add_blocks = [&](double sum, size_t first, size_t rows, float center, bool squared) {
        const size_t blocks = (rows + block_rows - 1) / block_rows, parts = std::min<size_t>(threads, blocks);
        double* sums = state.sums.room(blocks);
        parallel(int(parts), [&](int part) {
            for (size_t b = blocks * part / parts; b < blocks * (part + 1) / parts; b++) {
                const size_t begin = b * block_rows, count = std::min(block_rows, rows - begin);
                sums[b] = kernels_.sum(in.row(first + begin), int(count), in_channels, center, squared);
            }
        });
        for (size_t b = 0; b < blocks; b++) sum += sums[b];
        return sum;
    };
    if (!state.finished) {
        const size_t rows = ready(s, in);
        state.sum = add_blocks(state.sum, state.summed, rows, 0, false);
        state.summed += rows;
        return;
    }
    if (state.scale.size() == 0) {
        const double count = double(in.size()) * in_channels;
        const float mean = float(add_blocks(state.sum, state.summed, in.size() - state.summed, 0, false) / count);
        const double variance = add_blocks(0, 0, in.size(), mean, true) / count;
        const float inverse = float(1 / std::sqrt(variance + eps_));
        state.scale = Floats(in_channels);
        state.shift = Floats(in_channels);
        for (int c = 0; c < in_channels; c++) {
            state.scale.data()[c] = inverse * weight_.data()[c];
            state.shift.data()[c] = bias_.data()[c] - mean * state.scale.data()[c];
        }
    }
    kernels_.affine(in.row(0), steps, in_channels, state.scale.data(), state.shift.data(), out.append(steps),
                    activation_.function());
    in.drop(steps);
}

}  // namespace wavcodes

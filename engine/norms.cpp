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

// Sums over all rows are summed up in blocks of this many: each channel of a block is one chain in float32, and the
// rest is done in float64 and in order.
constexpr size_t block_rows = 64;

// Sum over all values of (x - center), or of its square.
double total(const float* x, size_t rows, int channels, float center, bool squared, int threads) {
    const size_t blocks = (rows + block_rows - 1) / block_rows;
    std::vector<double> sums(blocks);
    const size_t parts = std::min<size_t>(threads, blocks);
    parallel(int(parts), [&](int part) {
        std::vector<float> chains(channels);
        for (size_t b = blocks * part / parts; b < blocks * (part + 1) / parts; b++) {
            std::fill(chains.begin(), chains.end(), 0.0f);
            for (size_t t = b * block_rows; t < std::min(rows, (b + 1) * block_rows); t++) {
                const float* row = x + t * channels;
                for (int c = 0; c < channels; c++) {
                    const float d = row[c] - center;
                    chains[c] += squared ? d * d : d;
                }
            }
            for (float chain : chains) sums[b] += chain;
        }
    });
    double sum = 0;
    for (double s : sums) sum += s;
    return sum;
}

struct GroupState : State {
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

void GroupNorm::run(State& s, Rows& in, Rows& out, size_t steps, int threads) const {
    auto& state = static_cast<GroupState&>(s);
    if (state.scale.size() == 0) {
        const double count = double(in.size()) * in_channels;
        const float mean = float(total(in.row(0), in.size(), in_channels, 0, false, threads) / count);
        const double variance = total(in.row(0), in.size(), in_channels, mean, true, threads) / count;
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

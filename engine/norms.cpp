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

// Rows that are looked at together.
constexpr size_t block_rows = 64;

// Of values: how many, their mean, and the sum of the squares of what they differ from it by.
struct Moments {
    double count = 0, mean = 0, squares = 0;
    // Takes in further values (Chan, Golub and LeVeque 1979).
    void add(const Moments& other) {
        const double total = count + other.count, difference = other.mean - mean;
        squares += other.squares + difference * difference * count * other.count / total;
        mean += difference * other.count / total;
        count = total;
    }
};

struct GroupState : State {
    size_t seen = 0;  // rows, while the signal still comes
    Moments all;
    Buffer<Moments> blocks;
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

// All rows of the signal wait here, with what padding adds to them.
std::unique_ptr<State> GroupNorm::start(Rows& in, Origin origin) const {
    in.reserve(origin.rows + origin.rows / 8);
    return std::make_unique<GroupState>();
}

// Rows are looked at when they come, and so while they are in the cache.
size_t GroupNorm::ready(const State& s, const Rows& in) const {
    const auto& state = static_cast<const GroupState&>(s);
    return state.finished ? in.size() : (in.size() - state.seen) / block_rows * block_rows;
}

void GroupNorm::run(State& s, Rows& in, Rows& out, size_t steps, int threads) const {
    auto& state = static_cast<GroupState&>(s);
    if (state.scale.size() == 0) {
        const size_t rows = state.finished ? in.size() - state.seen : ready(s, in);
        const size_t blocks = (rows + block_rows - 1) / block_rows, parts = std::min<size_t>(threads, blocks);
        Moments* found = state.blocks.room(blocks);
        parallel(int(parts), [&](int part) {
            for (size_t b = blocks * part / parts; b < blocks * (part + 1) / parts; b++) {
                const int count = int(std::min(block_rows, rows - b * block_rows));
                const float* x = in.row(state.seen + b * block_rows);
                const double values = double(count) * in_channels;
                const double mean = kernels_.sum(x, count, in_channels, 0, false) / values;
                found[b] = {values, mean, kernels_.sum(x, count, in_channels, float(mean), true)};
            }
        });
        for (size_t b = 0; b < blocks; b++) state.all.add(found[b]);
        state.seen += rows;
        if (!state.finished) return;
        const float mean = float(state.all.mean);
        const float inverse = float(1 / std::sqrt(state.all.squares / state.all.count + eps_));
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

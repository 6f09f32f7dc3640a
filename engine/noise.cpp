#include "noise.h"

#include <cmath>

namespace wavcodes {
namespace {

// SplitMix64's finaliser (Steele, Lea, Flood 2014): all bits of the result depend on all of x.
uint64_t mixed(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

struct NoiseState : State {
    explicit NoiseState(Origin origin) : seed(origin.seed), position(origin.first_row) {}
    const std::optional<uint64_t> seed;
    size_t position;
    Floats noise;
};

}  // namespace

void noise(const Kernels& kernels, uint64_t seed, int source, size_t first, size_t count, float* out) {
    constexpr size_t block = 64;
    constexpr uint64_t golden = 0x9e3779b97f4a7c15u;
    const uint64_t key = mixed(mixed(seed + golden) + uint64_t(source) * golden);
    float mantissa[block], exponent[block], v[block];
    for (size_t done = 0; done < count; done += block) {
        const size_t n = std::min(block, (count - done + 15) / 16 * 16);
        for (size_t i = 0; i < n; i++) {
            const uint64_t bits = mixed(key + (first + done + i) * golden);
            int e;  // u = m * 2^e, a multiple of 2^-24 in (0, 1]; m from sqrt(1/2) to sqrt(2)
            float m = std::frexp(float((bits >> 40) + 1) * 0x1p-24f, &e);
            if (m < 0.707106781f) m *= 2, e--;
            mantissa[i] = m;
            exponent[i] = float(e);
            v[i] = float(uint32_t(bits) >> 8) * 0x1p-24f;
        }
        kernels.gaussian(mantissa, exponent, v, n, out + done);
    }
}

Noise::Noise(const Kernels& kernels, int channels, int source, Tensor weight)
    : Layer(channels, channels),
      kernels_(kernels),
      source_(source),
      matrix_(Matrix::dense(kernels, channels, channels, weight.data)) {
    limit = piece_rows(channels);
}

std::unique_ptr<State> Noise::start(Rows&, Origin origin) const { return std::make_unique<NoiseState>(origin); }

void Noise::run(State& s, Rows& in, Rows& out, size_t steps, int threads) const {
    auto& state = static_cast<NoiseState&>(s);
    const float* x = in.row(0);
    float* y = out.append(steps);
    if (state.seed) {
        float* n = state.noise.room((steps + 15) / 16 * 16);
        noise(kernels_, *state.seed, source_, state.position, steps, n);
        const Segment rows{x, in_channels, in_channels};
        matrix_.apply({&rows, 1}, 0, int(steps), {y, in_channels}, threads);
        for (size_t t = 0; t < steps; t++)
            for (int c = 0; c < in_channels; c++) {
                const size_t i = t * in_channels + c;
                y[i] = x[i] + n[t] * y[i];
            }
    } else {
        std::memcpy(y, x, steps * in_channels * sizeof(float));
    }
    state.position += steps;
    in.drop(steps);
}

}  // namespace wavcodes

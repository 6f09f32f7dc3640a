// Noise that depends on a seed and on the position alone, and the layer that adds it.
#pragma once

#include "layers.h"

namespace wavcodes {

// White Gaussian noise: numbers `first` ... `first + count - 1` of source `source` of a seed. `out` has room for
// `count` rounded up to 16.
void noise(const Kernels&, uint64_t seed, int source, size_t first, size_t count, float* out);

// x + n(t) * W x
class Noise : public Layer {
   public:
    // weight (channels, channels)
    Noise(const Kernels&, int channels, int source, Tensor weight);
    std::unique_ptr<State> start(Rows&, Origin) const override;
    void run(State&, Rows& in, Rows& out, size_t steps, int threads) const override;

   private:
    const Kernels& kernels_;
    const int source_;
    Matrix matrix_;
};

}  // namespace wavcodes

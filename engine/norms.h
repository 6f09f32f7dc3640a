// Normalisation layers.
#pragma once

#include "layers.h"

namespace wavcodes {

class LayerNorm : public Layer {
   public:
    LayerNorm(const Kernels&, int channels, Tensor weight, Tensor bias, float eps);
    void run(State&, Rows& in, Rows& out, size_t steps, int threads) const override;
    void apply(const float* x, size_t rows, float* y, int threads) const;

   private:
    const Kernels& kernels_;
    Floats weight_, bias_;
    float eps_;
};

// One group: over all channels and all rows, so nothing comes out before the signal has ended.
class GroupNorm : public Fusing {
   public:
    GroupNorm(const Kernels&, int channels, Tensor weight, Tensor bias, float eps);
    std::unique_ptr<State> start(Rows&, Origin) const override;
    size_t ready(const State&, const Rows&) const override;
    void run(State&, Rows& in, Rows& out, size_t steps, int threads) const override;

   private:
    const Kernels& kernels_;
    Floats weight_, bias_;
    float eps_;
};

}  // namespace wavcodes

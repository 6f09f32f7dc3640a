// Layers in which rows see one another: attention with rotary positions.
#pragma once

#include "norms.h"

namespace wavcodes {

// Rotary positions: channel i of the first half of a head is rotated against channel i of the second half, by the
// angle position * 10000^(-2 i / width).
class Rotary {
   public:
    explicit Rotary(int width);
    // Cosines and then sines of all pairs, [width] for one position.
    void angles(size_t position, float* out) const;

   private:
    std::vector<double> rates_;
};

// x + out(attention(norm(x))) within windows that do not overlap.
class LocalAttention : public Layer {
   public:
    // norm_weight, norm_bias (channels), qkv (3 channels, channels), out (channels, channels)
    LocalAttention(const Kernels&, int channels, int heads, int window, Tensor norm_weight, Tensor norm_bias, Tensor qkv,
                   Tensor out);
    size_t needed(size_t rows) const override { return (rows + window_ - 1) / window_ * window_; }
    size_t ready(const State&, const Rows& in) const override;
    void run(State&, Rows& in, Rows& out, size_t steps, int threads) const override;

   private:
    void attend(const float* qkv, size_t rows, int head, float* out) const;

    const Kernels& kernels_;
    const int heads_, width_, window_;
    LayerNorm norm_;
    Matrix qkv_, out_;
    Floats angles_;  // of every position in a window
};

// x += scale1 * out(attention(norm1(x))), x += scale2 * linear2(gelu(linear1(norm2(x)))): each row sees itself and the
// context - 1 rows before it.
class TransformerLayer : public Layer {
   public:
    struct Weights {
        Tensor norm1, norm1_bias, scale1, norm2, norm2_bias, scale2;  // (channels)
        Tensor qkv, out, linear1, linear2;                            // (outputs, inputs)
    };
    TransformerLayer(const Kernels&, int channels, int heads, int hidden, int context, float eps, const Weights&);
    std::unique_ptr<State> start(Rows&, Origin) const override;
    void run(State&, Rows& in, Rows& out, size_t steps, int threads) const override;

   private:
    const Kernels& kernels_;
    const int heads_, width_, hidden_, context_;
    size_t capacity_;  // rows that a stream's memory of keys and values holds
    LayerNorm norm1_, norm2_;
    Matrix qkv_, out_, linear1_, linear2_;
    Rotary rotary_;
};

}  // namespace wavcodes

// The layers. A layer is immutable and shared by all streams; what a stream remembers is in its State.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "kernels.h"
#include "matrix.h"
#include "rows.h"

namespace wavcodes {

struct State {
    virtual ~State() = default;
    bool finished = false;  // the end of the input has been seen and its padding appended
};

// A view of weights that outlives only the constructor it is passed to.
struct Tensor {
    const float* data = nullptr;  // null: absent
};

class Layer {
   public:
    Layer(int in, int out) : in_channels(in), out_channels(out) {}
    virtual ~Layer() = default;

    virtual std::unique_ptr<State> start(Rows&) const { return std::make_unique<State>(); }
    // How many steps can be computed from the rows that are there (a step is one row, of input or of output).
    virtual size_t ready(const State&, const Rows& in) const { return in.size(); }
    // Called once, when the last row of the input is there: pads it.
    virtual void finish(State&, Rows&) const {}
    // Computes `steps` steps: takes rows from `in`, appends rows to `out`.
    virtual void run(State&, Rows& in, Rows& out, size_t steps, int threads) const = 0;
    // Makes `act` part of this layer if it can; an activation is then no layer of its own.
    virtual bool fuse(Act, float) { return false; }

    const int in_channels, out_channels;
    size_t batch = 1;         // fewer steps than this wait for more, until there is no more in this push
    size_t limit = SIZE_MAX;  // more steps than this are computed in several pieces, to stay in the cache
};

class Sequence {
   public:
    struct State {
        std::vector<Rows> queues;  // queues[i] feeds layer i; the last one is the output
        std::vector<std::unique_ptr<wavcodes::State>> layers;
    };

    Sequence(const Kernels& kernels, int channels) : kernels(kernels), in_channels(channels) {}
    Sequence(Sequence&&) = default;
    Sequence(const Sequence&) = delete;
    int out_channels() const { return layers_.empty() ? in_channels : layers_.back()->out_channels; }
    void add(std::unique_ptr<Layer> layer);
    void add_activation(Act act, float slope);
    // From now on there are streams: add() throws.
    void freeze() { frozen_ = true; }
    size_t batch() const;

    State start() const;
    // Appends rows to the input. The activation that a sequence may begin with is applied on the way.
    void append(State&, const float* rows, size_t count) const;
    // Runs all layers on all that queues[0] holds.
    void advance(State&, int threads) const;

    const Kernels& kernels;
    const int in_channels;

   private:
    void advance_from(State&, size_t index, bool drain, int threads) const;
    std::vector<std::unique_ptr<Layer>> layers_;
    Act first_act_ = Act::none;
    float first_slope_ = 0;
    bool frozen_ = false;
};

struct ConvShape {
    int in, out, kernel, stride, dilation, groups, left, right;
    bool reflect, complete;
    int span() const { return (kernel - 1) * dilation + 1; }
};

// A layer that an activation can become part of.
class Fusing : public Layer {
   public:
    using Layer::Layer;
    bool fuse(Act act, float slope) override {
        if (act_ != Act::none) return false;
        act_ = act;
        slope_ = slope;
        return true;
    }

   protected:
    Act act_ = Act::none;
    float slope_ = 0;
};

// A layer whose output rows each see a window of input rows: the padding at both ends, and where the window stands.
class Windowed : public Fusing {
   public:
    explicit Windowed(const ConvShape& shape) : Fusing(shape.in, shape.out), shape_(shape) {}
    std::unique_ptr<State> start(Rows&) const override;
    size_t ready(const State&, const Rows&) const override;
    void finish(State&, Rows&) const override;

   protected:
    const float* window(State&, Rows& in) const;
    void move(State&, Rows& in, size_t steps) const;
    const ConvShape shape_;
};

class Conv : public Windowed {
   public:
    // weight (out, in / groups, kernel). With a shortcut (out, shortcut_channels), the product of the shortcut's
    // input is part of the same sum.
    Conv(const Kernels&, const ConvShape&, Tensor weight, Tensor bias, Tensor shortcut = {}, Tensor shortcut_bias = {},
         int shortcut_channels = 0);
    void run(State& s, Rows& in, Rows& out, size_t steps, int threads) const override {
        run_with(s, in, out, steps, threads, nullptr);
    }
    // As run, with the rows of a residual branch: added as they are, or through the shortcut's weights.
    void run_with(State&, Rows& in, Rows& out, size_t steps, int threads, const float* skip) const;

   private:
    const int shortcut_channels_;
    std::unique_ptr<Matrix> matrix_;
    std::unique_ptr<Matrix> wide_;  // `wide_rows_` rows of a narrow output in one
    int wide_rows_ = 0;
};

class DepthwiseConv : public Windowed {
   public:
    // weight (channels, 1, kernel)
    DepthwiseConv(const Kernels&, const ConvShape&, Tensor weight, Tensor bias);
    void run(State&, Rows& in, Rows& out, size_t steps, int threads) const override;

   private:
    const Kernels& kernels_;
    Floats weights_, bias_;
};

// A transposed convolution is a causal convolution with `stride` times the outputs: row t of it is `stride` rows.
class ConvTranspose : public Fusing {
   public:
    // weight (in, out / groups, kernel)
    ConvTranspose(const Kernels&, int in, int out, int kernel, int stride, int groups, int trim_right, Tensor weight,
                  Tensor bias);
    std::unique_ptr<State> start(Rows&) const override;
    size_t ready(const State&, const Rows&) const override;
    void finish(State&, Rows&) const override;
    void run(State&, Rows& in, Rows& out, size_t steps, int threads) const override;

   private:
    const int taps_, stride_, groups_, tail_rows_;
    std::unique_ptr<Matrix> matrix_;
};

class Activation : public Layer {
   public:
    Activation(const Kernels& kernels, int channels, Act act, float slope)
        : Layer(channels, channels), kernels_(kernels), act_(act), slope_(slope) {}
    void run(State&, Rows& in, Rows& out, size_t steps, int threads) const override;

   private:
    const Kernels& kernels_;
    Act act_;
    float slope_;
};

class LayerNorm : public Layer {
   public:
    LayerNorm(const Kernels&, int channels, Tensor weight, Tensor bias, float eps);
    void run(State&, Rows& in, Rows& out, size_t steps, int threads) const override;

   private:
    const Kernels& kernels_;
    Floats weight_, bias_;
    float eps_;
};

// Stacked LSTM layers, plus their input.
class Lstm : public Layer {
   public:
    struct Weights {
        Tensor input, hidden, input_bias, hidden_bias;
    };
    Lstm(const Kernels&, int channels, const std::vector<Weights>&);
    std::unique_ptr<State> start(Rows&) const override;
    void run(State&, Rows& in, Rows& out, size_t steps, int threads) const override;

   private:
    // The weights of the hidden state, which every step reads: 24-bit integers, three bytes each, so that fewer of them
    // come from beyond the second-level cache. Each column has a power of two as its unit, and its largest weight
    // uses all 24 bits: as many as a float32 has.
    struct Recurrent {
        Recurrent(const Kernels&, int channels, int columns, const std::function<float(int i, int column)>& weight);
        Buffer<int32_t> weights;
        Floats scales;
    };

    const Kernels& kernels_;
    int width_;   // units in a block of the kernel
    int blocks_;  // blocks that hold all units, the last one padded
    std::vector<std::unique_ptr<Matrix>> input_;
    std::vector<Recurrent> hidden_;
};

class Residual : public Layer {
   public:
    Residual(std::unique_ptr<Sequence> body, std::unique_ptr<Conv> last);
    std::unique_ptr<State> start(Rows&) const override;
    size_t ready(const State&, const Rows&) const override;
    void run(State&, Rows& in, Rows& out, size_t steps, int threads) const override;
    bool fuse(Act act, float slope) override { return last_->fuse(act, slope); }

   private:
    std::unique_ptr<Sequence> body_;  // all but the last convolution
    std::unique_ptr<Conv> last_;
};

class PadEnd : public Layer {
   public:
    PadEnd(int channels, size_t multiple, size_t extra)
        : Layer(channels, channels), multiple_(multiple), extra_(extra) {}
    std::unique_ptr<State> start(Rows&) const override;
    void finish(State&, Rows&) const override;
    void run(State&, Rows& in, Rows& out, size_t steps, int threads) const override;

   private:
    size_t multiple_, extra_;
};

class TrimStart : public Layer {
   public:
    TrimStart(int channels, size_t rows) : Layer(channels, channels), rows_(rows) {}
    std::unique_ptr<State> start(Rows&) const override;
    void run(State&, Rows& in, Rows& out, size_t steps, int threads) const override;

   private:
    size_t rows_;
};

}  // namespace wavcodes

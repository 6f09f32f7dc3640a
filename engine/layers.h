// The layers. A layer is immutable and shared by all streams; what a stream remembers is in its State.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "filter.h"
#include "kernels.h"
#include "rows.h"

namespace wavcodes {

// Which row of its signal a stream begins with, about how many will come where that is known (0: it is not), and the
// seed of its noise (none: no noise).
struct Origin {
    std::optional<uint64_t> seed;
    size_t first_row = 0, rows = 0;
    size_t signals = 1;  // that take turns in the queues of a joint layer: a row of each, the next row of each ...
};

// A Pointwise with the memory of its parameters.
class Activation {
   public:
    Activation() = default;
    Activation(Act act, float slope) : function_{act, slope} {}
    // Snake, with the alpha of each channel
    explicit Activation(const std::vector<float>& alpha);
    bool none() const { return function_.act == Act::none; }
    const Pointwise& function() const { return function_; }
    // The same for rows that stand `times` to a row.
    Activation repeated(int times) const;

   private:
    Pointwise function_;
    std::vector<float> alpha_;
    std::shared_ptr<Floats> parameters_;
};

struct State {
    virtual ~State() = default;
    bool finished = false;  // the end of the input has been seen and its padding appended
    bool running = false;   // on some thread
};

// A view of weights that outlives only the constructor it is passed to.
struct Tensor {
    const float* data = nullptr;  // null: absent
};

class Layer {
   public:
    Layer(int in, int out) : in_channels(in), out_channels(out) {}
    virtual ~Layer() = default;

    virtual std::unique_ptr<State> start(Rows&, Origin) const { return std::make_unique<State>(); }
    // The same for another signal, in the memory of the one before.
    virtual void restart(std::unique_ptr<State>& state, Rows& in) const { state = start(in, {}); }
    // Rows of a running signal that must have come before the first `rows` rows of the output are there.
    virtual size_t needed(size_t rows) const { return rows; }
    // How many steps can be computed from the rows that are there (a step is one row, of input or of output).
    virtual size_t ready(const State&, const Rows& in) const { return in.size(); }
    // Called once, when the last row of the input is there: pads it.
    virtual void finish(State&, Rows&) const {}
    // Computes `steps` steps: takes rows from `in`, appends rows to `out`.
    virtual void run(State&, Rows& in, Rows& out, size_t steps, int threads) const = 0;
    // Makes an activation part of this layer if it can; it is then no layer of its own.
    virtual bool fuse(const Activation&) { return false; }

    // Has so many weights that it waits for rows, to read them once for all.
    bool heavy() const { return batch > 1; }

    const int in_channels, out_channels;
    size_t up = 1, down = 1;  // row t of the input stands at row t * up / down of the output
    size_t batch = 1;         // fewer steps than this wait for more, until there is no more in this push
    size_t limit = SIZE_MAX;  // more steps than this are computed in several pieces, to stay in the cache
    size_t block = 1;         // of so many steps at once or none, as long as more may come
    bool joint = false;       // reads its weights once for several signals, see Origin
};

// Rows of a piece of work whose rows have that many values: it stays in the second-level cache.
size_t piece_rows(size_t values_per_row);
// Rows that a layer with weights of that size waits for.
size_t batch_rows(size_t bytes);

class Sequence {
   public:
    struct State {
        std::vector<Rows> queues;  // queues[i] feeds layer i; the last one is the output
        std::vector<std::unique_ptr<wavcodes::State>> layers;
    };
    // Rows of a signal that is there from its beginning to its end.
    struct Signal {
        const float* rows;
        size_t count;
    };

    // `together`: so many rows of the input, counted from the start of the signal, come at once or are worth nothing
    // before all of them are there. `any_number`: so does the whole signal.
    static constexpr size_t any_number = 0;  // a multiple of all numbers
    Sequence(const Kernels& kernels, int channels, size_t together)
        : kernels(kernels), in_channels(channels), together_(together) {}
    Sequence(Sequence&&) = default;
    Sequence(const Sequence&) = delete;
    int out_channels() const { return layers_.empty() ? in_channels : layers_.back()->out_channels; }
    void add(std::unique_ptr<Layer> layer);
    void add_activation(const Activation&);
    // The same of the rows that the next layer gets.
    size_t together() const { return together_; }
    // An empty sequence for those rows.
    Sequence branch() const { return {kernels, out_channels(), together_}; }
    // From now on there are streams: add() throws.
    void freeze() { frozen_ = true; }
    size_t batch() const;
    size_t needed(size_t rows) const;

    State start(Origin = {}) const;
    // Begins with another signal, in the memory of the one before.
    void restart(State& state) const { restart(state, 0, layers_.size()); }
    // Appends rows to the input. The activation that a sequence may begin with is applied on the way.
    void append(State&, const float* rows, size_t count) const;
    // The same of the first rows of a queue, which loses them.
    void move(State&, Rows& rows, size_t count) const;
    // Runs all layers on all that queues[0] holds, or until `most` rows have come out. `between` is called by this thread
    // after each of its pieces, and may throw to end it.
    void advance(State&, int threads, const std::function<void()>& between = [] {}, size_t most = SIZE_MAX) const;
    // Runs several whole signals, one after the other but in joint layers; `give` gets what becomes of each, in order.
    void run(std::span<const Signal>, int threads, const std::function<void()>& between,
             const std::function<void(const Rows&)>& give) const;

    const Kernels& kernels;
    const int in_channels;

   private:
    class Run;
    // These do so with layers `first` ... `last - 1`.
    void restart(State&, size_t first, size_t last) const;
    void advance(State&, size_t first, size_t last, int threads, const std::function<void()>& between,
                 size_t most) const;
    std::vector<std::unique_ptr<Layer>> layers_;
    Activation first_;
    size_t together_;
    bool frozen_ = false;
};

enum class Padding { zeros, reflect, replicate };

struct ConvShape {
    int in, out, kernel, stride, dilation, groups, left, right;
    Padding padding;
    bool complete;
    int span() const { return (kernel - 1) * dilation + 1; }
};

// A layer that an activation can become part of.
class Fusing : public Layer {
   public:
    using Layer::Layer;
    bool fuse(const Activation& activation) override {
        if (!activation_.none()) return false;
        activation_ = activation.repeated(rows_);
        return true;
    }

   protected:
    Activation activation_;
    int rows_ = 1;  // that the layer computes side by side, as one
};

// A layer whose output rows each see a window of input rows: the padding at both ends, and where the window stands.
class Windowed : public Fusing {
   public:
    explicit Windowed(const ConvShape& shape) : Fusing(shape.in, shape.out), shape_(shape) { down = shape.stride; }
    std::unique_ptr<State> start(Rows&, Origin) const override;
    size_t needed(size_t rows) const override;
    size_t ready(const State&, const Rows&) const override;
    void finish(State&, Rows&) const override;

   protected:
    const float* window(State&, Rows& in) const;
    // The output row of the signal that comes next.
    size_t position(const State&) const;
    void move(State&, Rows& in, size_t steps) const;
    const ConvShape shape_;
};

class Conv : public Windowed {
   public:
    // `together`: of the rows that it gets, see Sequence. weight (out, in / groups, kernel). With a shortcut
    // (out, shortcut_channels), the product of the shortcut's input is part of the same sum.
    Conv(const Kernels&, const ConvShape&, size_t together, Tensor weight, Tensor bias, Tensor shortcut = {},
         Tensor shortcut_bias = {}, int shortcut_channels = 0);
    size_t needed(size_t rows) const override { return Windowed::needed(filter_->filled(rows)); }
    size_t ready(const State&, const Rows&) const override;
    void run(State& s, Rows& in, Rows& out, size_t steps, int threads) const override {
        run_with(s, in, out, steps, threads, nullptr);
    }
    bool fuse(const Activation& activation) override {
        if (!Windowed::fuse(activation)) return false;
        wide_activation_ = activation.repeated(std::max(wide_rows_, 1));
        return true;
    }
    // As run, with the rows of a residual branch: added as they are, or through the shortcut's weights.
    void run_with(State&, Rows& in, Rows& out, size_t steps, int threads, const float* skip) const;

   private:
    Conv(const Kernels&, const ConvShape&, const Minimal::Plan&, Tensor weight, Tensor bias, Tensor shortcut,
         Tensor shortcut_bias, int shortcut_channels);
    const int shortcut_channels_;
    std::unique_ptr<Filter> filter_;
    std::unique_ptr<Matrix> wide_;  // `wide_rows_` rows of a narrow output in one
    int wide_rows_ = 0;
    Activation wide_activation_;
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

// A transposed convolution is a causal convolution with `stride` times the outputs: step t of it gives `stride` rows.
class ConvTranspose : public Fusing {
   public:
    // `together`: of the rows that it gets, see Sequence. weight (in, out / groups, kernel)
    ConvTranspose(const Kernels&, int in, int out, int kernel, int stride, int groups, int trim_left, int trim_right,
                  size_t together, Tensor weight, Tensor bias);
    std::unique_ptr<State> start(Rows&, Origin) const override;
    size_t needed(size_t rows) const override {
        return rows ? filter_->filled((rows + trim_left_ + stride_ - 1) / stride_) : 0;
    }
    size_t ready(const State&, const Rows&) const override;
    void finish(State&, Rows&) const override;
    void run(State&, Rows& in, Rows& out, size_t steps, int threads) const override;

   private:
    const int taps_, stride_;
    const size_t trim_left_;
    const int tail_rows_;
    std::unique_ptr<Filter> filter_;
};

// An activation that no layer took in.
class Elementwise : public Layer {
   public:
    Elementwise(const Kernels& kernels, int channels, const Activation& activation)
        : Layer(channels, channels), kernels_(kernels), activation_(activation) {}
    void run(State&, Rows& in, Rows& out, size_t steps, int threads) const override;

   private:
    const Kernels& kernels_;
    const Activation activation_;
};

// Stacked LSTM layers, plus their input.
class Lstm : public Layer {
   public:
    struct Weights {
        Tensor input, hidden, input_bias, hidden_bias;
    };
    Lstm(const Kernels&, int channels, const std::vector<Weights>&);
    std::unique_ptr<State> start(Rows&, Origin) const override;
    void run(State&, Rows& in, Rows& out, size_t steps, int threads) const override;

   private:
    // The weights of the hidden state, which every step reads: 24-bit integers, three bytes each, so that fewer of them
    // come from beyond the second-level cache. Each column has a power of two as its unit, and its largest weight
    // uses all 24 bits: as many as a float32 has.
    struct Recurrent {
        Recurrent(const Kernels&, int channels, int columns, const Values& values);
        Pages<int32_t> weights;
        Pages<int16_t> shorts;  // instead, of 16 bits, where the precision is bf16
        Floats scales;
    };

    const Kernels& kernels_;
    int width_;   // units in a block of the kernel, one to a lane
    int blocks_;  // blocks that hold all units, the last one padded
    std::vector<std::unique_ptr<Matrix>> input_;
    std::vector<Recurrent> hidden_;
};

class Residual : public Layer {
   public:
    Residual(std::unique_ptr<Sequence> body, std::unique_ptr<Conv> last);
    std::unique_ptr<State> start(Rows&, Origin) const override;
    void restart(std::unique_ptr<State>&, Rows&) const override;
    size_t needed(size_t rows) const override { return std::max(rows, body_->needed(last_->needed(rows))); }
    size_t ready(const State&, const Rows&) const override;
    void run(State&, Rows& in, Rows& out, size_t steps, int threads) const override;
    bool fuse(const Activation& activation) override { return last_->fuse(activation); }

   private:
    std::unique_ptr<Sequence> body_;  // all but the last convolution
    std::unique_ptr<Conv> last_;
};

// The sum of what several sequences make of the signal; they may give it with different delays.
class Sum : public Fusing {
   public:
    explicit Sum(std::vector<std::unique_ptr<Sequence>> branches);
    std::unique_ptr<State> start(Rows&, Origin) const override;
    void restart(std::unique_ptr<State>&, Rows&) const override;
    size_t needed(size_t rows) const override;
    size_t ready(const State&, const Rows&) const override;
    void run(State&, Rows& in, Rows& out, size_t steps, int threads) const override;

   private:
    const Kernels& kernels_;
    std::vector<std::unique_ptr<Sequence>> branches_;
};

class PadEnd : public Layer {
   public:
    PadEnd(int channels, size_t multiple, size_t extra)
        : Layer(channels, channels), multiple_(multiple), extra_(extra) {}
    std::unique_ptr<State> start(Rows&, Origin) const override;
    void finish(State&, Rows&) const override;
    void run(State&, Rows& in, Rows& out, size_t steps, int threads) const override;

   private:
    size_t multiple_, extra_;
};

class TrimEnd : public Layer {
   public:
    TrimEnd(int channels, size_t rows) : Layer(channels, channels), rows_(rows) {}
    size_t needed(size_t rows) const override { return rows + rows_; }
    size_t ready(const State&, const Rows& in) const override { return in.size() - std::min(in.size(), rows_); }
    void run(State&, Rows& in, Rows& out, size_t steps, int threads) const override;

   private:
    size_t rows_;
};

class TrimStart : public Layer {
   public:
    TrimStart(int channels, size_t rows) : Layer(channels, channels), rows_(rows) {}
    size_t needed(size_t rows) const override { return rows + rows_; }
    std::unique_ptr<State> start(Rows&, Origin) const override;
    void run(State&, Rows& in, Rows& out, size_t steps, int threads) const override;

   private:
    size_t rows_;
};

}  // namespace wavcodes

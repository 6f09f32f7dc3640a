// Where the window of a convolution stands, and the padding at both ends of the signal.
#include "layers.h"

namespace wavcodes {
namespace {

struct WindowState : State {
    bool started = false;
    size_t steps = 0;    // given so far
    size_t dropped = 0;  // rows that have left the queue
    size_t head = 0;     // first row of the next window within the queue; the rows before it serve as a mirror at the end
};

// Rows of history that the mirrored padding at the end may need.
size_t mirror_rows(const ConvShape& s) { return s.reflect ? s.right + s.stride : 0; }

size_t windows(const ConvShape& s, size_t rows) { return rows < size_t(s.span()) ? 0 : (rows - s.span()) / s.stride + 1; }

// Puts the mirror image of the first rows in front of them.
void mirror_start(Rows& in, size_t left) {
    const size_t bytes = in.channels() * sizeof(float);
    in.prepend(left);
    for (size_t i = 1; i <= left; i++) std::memcpy(in.row(left - i), in.row(left + i), bytes);
}

}  // namespace

std::unique_ptr<State> Windowed::start(Rows& in) const {
    auto state = std::make_unique<WindowState>();
    if (!shape_.reflect || shape_.left == 0) {
        in.append_zeros(shape_.left);
        state->started = true;
    }
    return state;
}

size_t Windowed::ready(const State& s, const Rows& in) const {
    const auto& state = static_cast<const WindowState&>(s);
    if (!state.started) return in.size() > size_t(shape_.left) ? windows(shape_, in.size() + shape_.left) : 0;
    return in.size() > state.head ? windows(shape_, in.size() - state.head) : 0;
}

const float* Windowed::window(State& s, Rows& in) const {
    auto& state = static_cast<WindowState&>(s);
    if (!state.started) mirror_start(in, shape_.left);
    state.started = true;
    return in.row(state.head);
}

void Windowed::move(State& s, Rows& in, size_t steps) const {
    auto& state = static_cast<WindowState&>(s);
    state.steps += steps;
    state.head += steps * shape_.stride;
    // A stride longer than the kernel can step beyond the rows that are there.
    const size_t keep = mirror_rows(shape_), present = in.size();
    const size_t gone = std::min(state.head - std::min(state.head, keep), present - std::min(present, keep));
    in.drop(gone);
    state.head -= gone;
    state.dropped += gone;
}

// The rules of EnCodec's pad1d: a signal no longer than the padding is extended with zeros, mirrored, and cut again.
void Windowed::finish(State& s, Rows& in) const {
    auto& state = static_cast<WindowState&>(s);
    const size_t left = shape_.left, bytes = in.channels() * sizeof(float);
    size_t right = shape_.right;
    if (shape_.complete) {
        const ptrdiff_t span = shape_.span(), stride = shape_.stride;
        const ptrdiff_t pending = ptrdiff_t(in.size() + (state.started ? 0 : left) + right) - ptrdiff_t(state.head);
        if (state.steps == 0 && pending < span)
            right += span - pending;
        else
            right += ((span - pending) % stride + stride) % stride;
    }
    if (!shape_.reflect) return in.append_zeros(right);
    const size_t real = state.dropped + in.size() - (state.started ? left : 0);
    const size_t needed = std::max(state.started ? 0 : left, right) + 1;
    const size_t extension = real < needed ? needed - real : 0;
    in.append_zeros(extension);
    if (!state.started) mirror_start(in, left);
    state.started = true;
    const size_t last = in.size() - 1;
    in.append(right);
    for (size_t i = 1; i <= right; i++) std::memcpy(in.row(last + i), in.row(last - i), bytes);
    in.drop_last(extension);
}

}  // namespace wavcodes

// Where the window of a convolution stands, and the padding at both ends of the signal.
#include "layers.h"

namespace wavcodes {
namespace {

struct WindowState : State {
    bool started = false;
    size_t first = 0;    // output row of the signal that the stream begins with
    size_t steps = 0;    // given so far
    size_t dropped = 0;  // rows that have left the queue
    size_t head = 0;     // first row of the next window within the queue; the rows before it serve as a mirror at the end
};

// Rows of history that the padding at the end may be made of.
size_t end_rows(const ConvShape& s) {
    return s.padding == Padding::reflect ? s.right + s.stride : s.padding == Padding::replicate ? 1 : 0;
}

// Rows that must be there before padding of `n` rows can be made of them.
size_t source_rows(Padding padding, size_t n) { return padding == Padding::reflect ? n + 1 : 1; }

size_t windows(const ConvShape& s, size_t rows) { return rows < size_t(s.span()) ? 0 : (rows - s.span()) / s.stride + 1; }

// Puts the mirror image of the first rows, or copies of the first one, in front of them.
void pad_start(Rows& in, Padding padding, size_t left) {
    const size_t bytes = in.channels() * sizeof(float);
    in.prepend(left);
    for (size_t i = 1; i <= left; i++)
        std::memcpy(in.row(left - i), in.row(left + (padding == Padding::reflect ? i : 0)), bytes);
}

}  // namespace

std::unique_ptr<State> Windowed::start(Rows& in, Origin origin) const {
    auto state = std::make_unique<WindowState>();
    state->first = origin.first_row / shape_.stride;
    if (shape_.padding == Padding::zeros || shape_.left == 0) {
        in.append_zeros(shape_.left);
        state->started = true;
    }
    return state;
}

size_t Windowed::needed(size_t rows) const {
    const ptrdiff_t end = (ptrdiff_t(rows) - 1) * shape_.stride + shape_.span() - shape_.left;
    return rows ? std::max<ptrdiff_t>(end, 0) : 0;
}

size_t Windowed::ready(const State& s, const Rows& in) const {
    const auto& state = static_cast<const WindowState&>(s);
    if (!state.started)
        return in.size() < source_rows(shape_.padding, shape_.left) ? 0 : windows(shape_, in.size() + shape_.left);
    return in.size() > state.head ? windows(shape_, in.size() - state.head) : 0;
}

size_t Windowed::position(const State& s) const {
    const auto& state = static_cast<const WindowState&>(s);
    return state.first + state.steps;
}

const float* Windowed::window(State& s, Rows& in) const {
    auto& state = static_cast<WindowState&>(s);
    if (!state.started) pad_start(in, shape_.padding, shape_.left);
    state.started = true;
    return in.row(state.head);
}

void Windowed::move(State& s, Rows& in, size_t steps) const {
    auto& state = static_cast<WindowState&>(s);
    state.steps += steps;
    state.head += steps * shape_.stride;
    // A stride longer than the kernel can step beyond the rows that are there.
    const size_t keep = end_rows(shape_), present = in.size();
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
    if (shape_.padding == Padding::zeros) return in.append_zeros(right);
    const size_t real = state.dropped + in.size() - (state.started ? left : 0);
    const size_t needed = source_rows(shape_.padding, std::max(state.started ? 0 : left, right));
    const size_t extension = real < needed ? needed - real : 0;
    in.append_zeros(extension);
    if (!state.started) pad_start(in, shape_.padding, left);
    state.started = true;
    const size_t last = in.size() - 1;
    in.append(right);
    for (size_t i = 1; i <= right; i++)
        std::memcpy(in.row(last + i), in.row(last - (shape_.padding == Padding::reflect ? i : 0)), bytes);
    in.drop_last(extension);
}

}  // namespace wavcodes

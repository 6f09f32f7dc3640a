// Functions of one value, chosen outside of the loops. Included once per instruction set, as functions.h is.
#pragma once

#include "functions.h"
#include "kernels.h"

namespace WAVCODES_NAMESPACE {

using wavcodes::Act;
using wavcodes::Pointwise;

static constexpr int lanes = V::lanes;
static inline int least(int a, int b) { return a < b ? a : b; }

// Calls body(function), where function(x, channel) takes a vector of the channels from `channel` on: the choice is made
// outside of the loops, and what is constant stays in registers.
template <class Body>
static inline void with(const Pointwise& f, Body body) {
    switch (f.act) {
        case Act::elu: return body([](V x, ptrdiff_t) { return elu(x); });
        case Act::leaky_relu: return body([slope = f.slope](V x, ptrdiff_t) { return leaky_relu(x, set1(slope)); });
        case Act::gelu: return body([](V x, ptrdiff_t) { return gelu(x); });
        case Act::tanh: return body([](V x, ptrdiff_t) { return tanh(x); });
        case Act::snake:
            return body([alpha = f.alpha, inverse = f.inverse](V x, ptrdiff_t channel) {
                return snake(x, load(alpha + channel), load(inverse + channel));
            });
        case Act::none: return body([](V x, ptrdiff_t) { return x; });
    }
}

// Calls body(i, n) for each vector of `length` values: `n` of them from value i on.
template <class Body>
static inline void each_vector(size_t length, Body body) {
    size_t i = 0;
    for (; i + lanes <= length; i += lanes) body(i, lanes);
    if (i < length) body(i, int(length - i));
}

// The same of rows, body(i, n, channel). Where channels are alike, all is one long row.
template <class Body>
static inline void each_vector(size_t rows, size_t channels, bool alike, Body body) {
    const size_t count = alike ? 1 : rows, length = alike ? rows * channels : channels;
    for (size_t t = 0, row = 0; t < count; t++, row += length)
        each_vector(length, [&](size_t c, int n) { body(row + c, n, c); });
}

}  // namespace WAVCODES_NAMESPACE

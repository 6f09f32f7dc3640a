// exp, tanh, sigmoid, erf, sin^2 and log as polynomials of fused operations: the same bits on every instruction set.
//
// The coefficients are our own least-maximum fits (float64, Chebyshev nodes, reweighted), rounded to float32.
#pragma once

#include "vec.h"

namespace WAVCODES_NAMESPACE {

// x = n ln 2 + r with |r| <= ln 2 / 2; scale = 2^n and tail = exp(r) - 1, relative error of tail below 1e-7.
struct Exp {
    V scale, tail;
};
static inline Exp exp_parts(V x) {
    x = max(min(x, set1(88.0f)), set1(-87.0f));
    const V magic = set1(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer that stands in the low bits
    V shifted = fma(x, set1(1.44269504f), magic);
    V n = sub(shifted, magic);
    V r = fma(n, set1(-0.693359375f), x);
    r = fma(n, set1(2.12194440e-4f), r);
    V p = set1(1.9917132e-4f);
    p = fma(p, r, set1(1.3945835e-3f));
    p = fma(p, r, set1(8.3332667e-3f));
    p = fma(p, r, set1(4.1666273e-2f));
    p = fma(p, r, set1(1.6666667e-1f));
    p = fma(p, r, set1(0.5f));
    return {pow2(shifted), fma(mul(r, r), p, r)};
}
static inline V exp(V x) {
    Exp e = exp_parts(x);
    return fma(e.scale, e.tail, e.scale);
}
static inline V expm1(V x) {
    Exp e = exp_parts(x);
    return fma(e.scale, e.tail, sub(e.scale, set1(1.0f)));
}
static inline V sigmoid(V x) {
    V one = set1(1.0f);
    return div(one, add(one, exp(sub(set1(0.0f), x))));
}
static inline V tanh(V x) {
    x = max(min(x, set1(9.5f)), set1(-9.5f));  // beyond, float32 tanh is one
    V e = expm1(add(x, x));
    return div(e, add(e, set1(2.0f)));
}
// Absolute error below 2e-7.
static inline V erf(V x) {
    V zero = set1(0.0f), one = set1(1.0f);
    V z = max(x, sub(zero, x));
    V u = mul(x, x);
    V near = set1(7.8891186e-5f);
    near = fma(near, u, set1(-8.0208411e-4f));
    near = fma(near, u, set1(5.1895352e-3f));
    near = fma(near, u, set1(-2.6854444e-2f));
    near = fma(near, u, set1(1.1283600e-1f));
    near = fma(near, u, set1(-3.7612626e-1f));
    near = fma(near, u, set1(1.1283791f));
    near = mul(near, x);
    V t = max(min(z, set1(4.0f)), one);  // erf(4) is one in float32
    V q = set1(1.7889273e-5f);           // minus the logarithm of erfc on 1 to 4
    q = fma(q, t, set1(-3.9078158e-4f));
    q = fma(q, t, set1(3.9233510e-3f));
    q = fma(q, t, set1(-2.4361230e-2f));
    q = fma(q, t, set1(1.0692665e-1f));
    q = fma(q, t, set1(6.3475692e-1f));
    q = fma(q, t, set1(1.1287205f));
    q = fma(q, t, set1(1.2227376e-5f));
    V far = sub(one, exp(sub(zero, q)));
    far = select_less(x, zero, sub(zero, far), far);
    return select_less(z, one, near, far);
}

// exp(x) - 1 below zero, as 2^n (2^f - 1) + (2^n - 1) with f the rest of x / ln 2. Above zero what it computes there is
// thrown away.
static inline V elu(V x) {
    const V magic = set1(12582912.0f), log2e = set1(1.44269504f), one = set1(1.0f);
    V z = max(x, set1(-18.0f));  // beyond, the result is -1 in float32
    V shifted = fma(z, log2e, magic);
    V f = fma(z, log2e, sub(magic, shifted));
    V p = set1(0.00134068786f);
    p = fma(p, f, set1(0.00967162661f));
    p = fma(p, f, set1(0.0555031002f));
    p = fma(p, f, set1(0.240222394f));
    p = fma(p, f, set1(0.693147242f));
    V scale = pow2(shifted);
    return select_less(set1(0.0f), x, x, fma(scale, mul(p, f), sub(scale, one)));
}
static inline V leaky_relu(V x, V slope) { return select_less(x, set1(0.0f), mul(x, slope), x); }
// sin(x)^2, absolute error below 2e-7 for |x| up to 1e5, where float32 itself is a hundredth of a period apart.
static inline V sin_squared(V x) {
    const V magic = set1(12582912.0f);
    V n = sub(fma(x, set1(0.318309886f), magic), magic);
    V r = fma(n, set1(-3.140625f), x);
    r = fma(n, set1(-9.67653585e-4f), r);
    V u = min(mul(r, r), set1(2.4674011f));  // (pi / 2)^2: never beyond it but for rounding and huge x
    V p = set1(-3.6089682e-6f);
    p = fma(p, u, set1(1.3921049e-4f));
    p = fma(p, u, set1(-3.1720914e-3f));
    p = fma(p, u, set1(4.44429e-2f));
    p = fma(p, u, set1(-0.33333299f));
    p = fma(p, u, set1(1.0f));
    return mul(p, u);
}
static inline V snake(V x, V alpha, V inverse) { return fma(sin_squared(mul(alpha, x)), inverse, x); }
// log(m), m from sqrt(1/2) to sqrt(2): relative error below 2e-7.
static inline V log_near_one(V m) {
    V t = sub(m, set1(1.0f));
    V p = set1(8.7101534e-2f);
    p = fma(p, t, set1(-0.14373361f));
    p = fma(p, t, set1(0.14959021f));
    p = fma(p, t, set1(-0.16561857f));
    p = fma(p, t, set1(0.19956173f));
    p = fma(p, t, set1(-0.25002083f));
    p = fma(p, t, set1(0.33334205f));
    p = fma(p, t, set1(-0.49999988f));
    p = fma(p, t, set1(1.0f));
    return mul(p, t);
}
static inline V gelu(V x) {
    V half = mul(x, set1(0.5f));
    return fma(half, erf(mul(x, set1(0.70710678f))), half);
}

}  // namespace WAVCODES_NAMESPACE

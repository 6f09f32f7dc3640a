// One vector type per instruction set, with the same operations and the same rounding in each.
//
// Only operations that IEEE 754 defines exactly are here (fused multiply-add, add, multiply, divide, square root,
// comparison), so a lane computes the same bits whatever the width. This header is included once per instruction
// set, inside a namespace of that set; nothing in it may be shared between translation units.
//
// `unpack` gives four vectors of integers, as floats, from the space of three: the fourth one's upper three bytes are
// the lowest bytes of the others, where they are worth less than the last bit of a float32 near 2^31.
#pragma once

#if defined(WAVCODES_AVX512) || defined(WAVCODES_AVX2)
#include <immintrin.h>
#elif defined(WAVCODES_NEON)
#include <arm_neon.h>
#endif
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __FAST_MATH__
#error "results must not depend on the compiler: build without -ffast-math"
#endif

namespace WAVCODES_NAMESPACE {

static_assert(FLT_EVAL_METHOD == 0, "float32 must be computed as float32");

#if defined(WAVCODES_AVX512)

struct V {
    static constexpr int lanes = 16;
    static constexpr int max_vectors = 4;  // of the 32 registers: 6 rows x 4 accumulators, 4 weights, 1 input
    __m512 v;
};
static inline V load(const float* p) { return {_mm512_loadu_ps(p)}; }
static inline void store(float* p, V a) { _mm512_storeu_ps(p, a.v); }
static inline V set1(float a) { return {_mm512_set1_ps(a)}; }
static inline V fma(V a, V b, V c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
static inline V add(V a, V b) { return {_mm512_add_ps(a.v, b.v)}; }
static inline V sub(V a, V b) { return {_mm512_sub_ps(a.v, b.v)}; }
static inline V mul(V a, V b) { return {_mm512_mul_ps(a.v, b.v)}; }
static inline V div(V a, V b) { return {_mm512_div_ps(a.v, b.v)}; }
static inline V sqrt(V a) { return {_mm512_sqrt_ps(a.v)}; }
static inline V max(V a, V b) { return {_mm512_max_ps(b.v, a.v)}; }
static inline V min(V a, V b) { return {_mm512_min_ps(b.v, a.v)}; }
// a < b ? x : y
static inline V select_less(V a, V b, V x, V y) {
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), y.v, x.v)};
}
// 2^n, where the low bits of `shifted` hold n as an integer (see exp_parts in functions.h)
static inline V pow2(V shifted) {
    __m512i bits = _mm512_slli_epi32(_mm512_castps_si512(shifted.v), 23);
    return {_mm512_castsi512_ps(_mm512_add_epi32(bits, _mm512_set1_epi32(0x3f800000)))};
}
static inline V load_short(const int16_t* p) {
    return {_mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))))};
}
static inline void unpack(const int32_t* p, V w[4]) {
    const __m512i low = _mm512_set4_epi32(12 * 0x01010101, 8 * 0x01010101, 4 * 0x01010101, 0);
    const __m512i a = _mm512_loadu_si512(p), b = _mm512_loadu_si512(p + 16), c = _mm512_loadu_si512(p + 32);
    __m512i d = _mm512_maskz_shuffle_epi8(0x8888888888888888, a, low);
    d = _mm512_mask_shuffle_epi8(d, 0x4444444444444444, b, low);
    d = _mm512_mask_shuffle_epi8(d, 0x2222222222222222, c, low);
    w[0].v = _mm512_cvtepi32_ps(a), w[1].v = _mm512_cvtepi32_ps(b);
    w[2].v = _mm512_cvtepi32_ps(c), w[3].v = _mm512_cvtepi32_ps(d);
}

#elif defined(WAVCODES_AVX2)

struct V {
    static constexpr int lanes = 8;
    static constexpr int max_vectors = 2;  // of the 16 registers: 6 rows x 2 accumulators, 2 weights, 1 input
    __m256 v;
};
static inline V load(const float* p) { return {_mm256_loadu_ps(p)}; }
static inline void store(float* p, V a) { _mm256_storeu_ps(p, a.v); }
static inline V set1(float a) { return {_mm256_set1_ps(a)}; }
static inline V fma(V a, V b, V c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
static inline V add(V a, V b) { return {_mm256_add_ps(a.v, b.v)}; }
static inline V sub(V a, V b) { return {_mm256_sub_ps(a.v, b.v)}; }
static inline V mul(V a, V b) { return {_mm256_mul_ps(a.v, b.v)}; }
static inline V div(V a, V b) { return {_mm256_div_ps(a.v, b.v)}; }
static inline V sqrt(V a) { return {_mm256_sqrt_ps(a.v)}; }
static inline V max(V a, V b) { return {_mm256_max_ps(b.v, a.v)}; }
static inline V min(V a, V b) { return {_mm256_min_ps(b.v, a.v)}; }
static inline V select_less(V a, V b, V x, V y) {
    return {_mm256_blendv_ps(y.v, x.v, _mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ))};
}
static inline V pow2(V shifted) {
    __m256i bits = _mm256_slli_epi32(_mm256_castps_si256(shifted.v), 23);
    return {_mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_set1_epi32(0x3f800000)))};
}
static inline V load_short(const int16_t* p) {
    return {_mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}
static inline void unpack(const int32_t* p, V w[4]) {
    const __m256i* v = reinterpret_cast<const __m256i*>(p);
    const __m256i a = _mm256_loadu_si256(v), b = _mm256_loadu_si256(v + 1), c = _mm256_loadu_si256(v + 2);
    auto low = [](char byte) {  // a shuffle that moves the lowest byte of each integer to `byte`, and clears the rest
        char from[32];
        for (int i = 0; i < 32; i++) from[i] = i % 4 == byte ? char(i % 16 - byte) : char(-1);
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    };
    const __m256i d = _mm256_or_si256(_mm256_shuffle_epi8(a, low(3)), _mm256_or_si256(_mm256_shuffle_epi8(b, low(2)), _mm256_shuffle_epi8(c, low(1))));
    w[0].v = _mm256_cvtepi32_ps(a), w[1].v = _mm256_cvtepi32_ps(b);
    w[2].v = _mm256_cvtepi32_ps(c), w[3].v = _mm256_cvtepi32_ps(d);
}

#elif defined(WAVCODES_NEON)

struct V {
    static constexpr int lanes = 4;
    static constexpr int max_vectors = 4;  // of the 32 registers: 6 rows x 4 accumulators, 4 weights, 1 input
    float32x4_t v;
};
static inline V load(const float* p) { return {vld1q_f32(p)}; }
static inline void store(float* p, V a) { vst1q_f32(p, a.v); }
static inline V set1(float a) { return {vdupq_n_f32(a)}; }
static inline V fma(V a, V b, V c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
static inline V add(V a, V b) { return {vaddq_f32(a.v, b.v)}; }
static inline V sub(V a, V b) { return {vsubq_f32(a.v, b.v)}; }
static inline V mul(V a, V b) { return {vmulq_f32(a.v, b.v)}; }
static inline V div(V a, V b) { return {vdivq_f32(a.v, b.v)}; }
static inline V sqrt(V a) { return {vsqrtq_f32(a.v)}; }
static inline V select_less(V a, V b, V x, V y) { return {vbslq_f32(vcltq_f32(a.v, b.v), x.v, y.v)}; }
static inline V pow2(V shifted) {
    int32x4_t bits = vshlq_n_s32(vreinterpretq_s32_f32(shifted.v), 23);
    return {vreinterpretq_f32_s32(vaddq_s32(bits, vdupq_n_s32(0x3f800000)))};
}
static inline V load_short(const int16_t* p) { return {vcvtq_f32_s32(vmovl_s16(vld1_s16(p)))}; }
static inline void unpack(const int32_t* p, V w[4]) {
    const int32x4_t a = vld1q_s32(p), b = vld1q_s32(p + 4), c = vld1q_s32(p + 8);
    const int32x4_t d = vsliq_n_s32(vsliq_n_s32(vshlq_n_s32(c, 8), b, 16), a, 24);
    w[0].v = vcvtq_f32_s32(a), w[1].v = vcvtq_f32_s32(b), w[2].v = vcvtq_f32_s32(c), w[3].v = vcvtq_f32_s32(d);
}

#else  // plain C++

struct V {
    static constexpr int lanes = 4;
    static constexpr int max_vectors = 2;
    float v[4];
};
template <class F>
static inline V each(F f) {
    V r;
    for (int i = 0; i < 4; i++) r.v[i] = f(i);
    return r;
}
static inline V load(const float* p) {
    return each([&](int i) { return p[i]; });
}
static inline void store(float* p, V a) { memcpy(p, a.v, sizeof a.v); }
static inline V set1(float a) {
    return each([&](int) { return a; });
}
static inline V fma(V a, V b, V c) {
    return each([&](int i) { return ::fmaf(a.v[i], b.v[i], c.v[i]); });
}
static inline V add(V a, V b) {
    return each([&](int i) { return a.v[i] + b.v[i]; });
}
static inline V sub(V a, V b) {
    return each([&](int i) { return a.v[i] - b.v[i]; });
}
static inline V mul(V a, V b) {
    return each([&](int i) { return a.v[i] * b.v[i]; });
}
static inline V div(V a, V b) {
    return each([&](int i) { return a.v[i] / b.v[i]; });
}
static inline V sqrt(V a) {
    return each([&](int i) { return ::sqrtf(a.v[i]); });
}
static inline V select_less(V a, V b, V x, V y) {
    return each([&](int i) { return a.v[i] < b.v[i] ? x.v[i] : y.v[i]; });
}
static inline V pow2(V shifted) {
    return each([&](int i) {
        uint32_t bits;
        memcpy(&bits, &shifted.v[i], 4);
        bits = (bits << 23) + 0x3f800000u;
        float r;
        memcpy(&r, &bits, 4);
        return r;
    });
}
static inline V load_short(const int16_t* p) {
    return each([&](int i) { return float(p[i]); });
}
static inline void unpack(const int32_t* p, V w[4]) {
    for (int i = 0; i < 4; i++) {
        const uint32_t a = uint32_t(p[i]), b = uint32_t(p[i + 4]), c = uint32_t(p[i + 8]);
        const uint32_t d = a << 24 | (b & 0xff) << 16 | (c & 0xff) << 8;
        w[0].v[i] = float(int32_t(a)), w[1].v[i] = float(int32_t(b));
        w[2].v[i] = float(int32_t(c)), w[3].v[i] = float(int32_t(d));
    }
}

#endif

#if !defined(WAVCODES_AVX512) && !defined(WAVCODES_AVX2)
// a < b ? b : a and b < a ? b : a, whatever the comparison says of a NaN; those of x86 are the same.
static inline V max(V a, V b) { return select_less(a, b, b, a); }
static inline V min(V a, V b) { return select_less(b, a, b, a); }
#endif

static inline void prefetch(const void* p) {
#if defined(__GNUC__)
    __builtin_prefetch(p);
#elif defined(WAVCODES_AVX512) || defined(WAVCODES_AVX2)
    _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
#else
    (void)p;
#endif
}
// The same for what will be written.
static inline void prefetch_write(const void* p) {
#if defined(__GNUC__)
    __builtin_prefetch(p, 1);
#else
    prefetch(p);
#endif
}
// As `prefetch`, into the second-level cache.
static inline void prefetch_far(const void* p) {
#if defined(__GNUC__)
    __builtin_prefetch(p, 0, 2);
#elif defined(WAVCODES_AVX512) || defined(WAVCODES_AVX2)
    _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1);
#else
    (void)p;
#endif
}
// `n` values, at most a whole vector; the other lanes are zero.
static inline V load(const float* p, int n) {
    if (n == V::lanes) return load(p);
    float buffer[V::lanes] = {};
    memcpy(buffer, p, sizeof(float) * n);
    return load(buffer);
}
static inline void store(float* p, V a, int n) {
    if (n == V::lanes) return store(p, a);
    float buffer[V::lanes];
    store(buffer, a);
    memcpy(p, buffer, sizeof(float) * n);
}
// Lane i reads p[i * stride], for the first n lanes.
static inline V gather(const float* p, ptrdiff_t stride, int n) {
    float buffer[V::lanes] = {};
    for (int i = 0; i < n; i++) buffer[i] = p[i * stride];
    return load(buffer);
}

}  // namespace WAVCODES_NAMESPACE

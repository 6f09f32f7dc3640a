// Peak rate of fused multiply-adds of one core, for comparison: 24 independent chains of the widest vectors.
#include <chrono>
#include <cstdio>

#if defined(__AVX512F__)
#include <immintrin.h>
using V = __m512;
static V set1(float x) { return _mm512_set1_ps(x); }
static V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
#elif defined(__AVX2__)
#include <immintrin.h>
using V = __m256;
static V set1(float x) { return _mm256_set1_ps(x); }
static V fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
#elif defined(__ARM_NEON)
#include <arm_neon.h>
using V = float32x4_t;
static V set1(float x) { return vdupq_n_f32(x); }
static V fma(V a, V b, V c) { return vfmaq_f32(c, a, b); }
#else
#include <cmath>
using V = float;
static V set1(float x) { return x; }
static V fma(V a, V b, V c) { return std::fma(a, b, c); }
#endif

int main() {
    constexpr int chains = sizeof(V) == 32 ? 12 : 24;
    const long steps = 4000000;
    double best = 0;
    for (int round = 0; round < 10; round++) {
        V acc[chains];
        for (int i = 0; i < chains; i++) acc[i] = set1(0.001f * i);
        const V a = set1(0.999f), b = set1(1e-6f);
        const auto start = std::chrono::steady_clock::now();
        for (long s = 0; s < steps; s++)
#pragma GCC unroll 24
            for (int i = 0; i < chains; i++) acc[i] = fma(acc[i], a, b);
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        V sum = acc[0];
        for (int i = 1; i < chains; i++) sum = fma(acc[i], a, sum);
        volatile V keep = sum;
        (void)keep;
        const double rate = 2.0 * steps * chains * (sizeof(V) / 4) / seconds / 1e9;
        if (rate > best) best = rate;
    }
    std::printf("%.1f\n", best);
}

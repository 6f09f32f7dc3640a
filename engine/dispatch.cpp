// Which kernels this machine runs.
#include <cstring>

#include "kernels.h"

#if defined(_MSC_VER) && (defined(_M_X64) || defined(_M_IX86))
#include <immintrin.h>
#include <intrin.h>
#endif

#define WAVCODES_DECLARE(ns)                    \
    namespace ns {                              \
    extern const wavcodes::Kernels kernels;     \
    }

WAVCODES_DECLARE(wavcodes_generic)
#ifdef WAVCODES_HAS_X86
WAVCODES_DECLARE(wavcodes_avx2)
WAVCODES_DECLARE(wavcodes_avx512)
#endif
#ifdef WAVCODES_HAS_NEON
WAVCODES_DECLARE(wavcodes_neon)
#endif

namespace wavcodes {

#ifdef WAVCODES_HAS_X86
#if defined(_MSC_VER)
static bool has_leaf7(unsigned bits, unsigned long long state) {
    int r[4];
    __cpuidex(r, 1, 0);
    if (!(r[2] >> 27 & 1) || !(r[2] >> 12 & 1) || (_xgetbv(0) & state) != state) return false;
    __cpuidex(r, 7, 0);
    return (unsigned(r[1]) & bits) == bits;
}
static bool has_avx2() { return has_leaf7(1u << 5, 0x6); }
// /arch:AVX512 may use F, DQ, CD, BW and VL.
static bool has_avx512() { return has_leaf7(1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31, 0xe6); }
#else
static bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static bool has_avx512() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"); }
#endif
#endif

const Kernels* find_kernels(const char* name) {
    const bool any = name[0] == 0;
    auto wants = [&](const char* set) { return any || std::strcmp(name, set) == 0; };
#ifdef WAVCODES_HAS_X86
    if (wants("avx512") && has_avx512()) return &wavcodes_avx512::kernels;
    if (wants("avx2") && has_avx2()) return &wavcodes_avx2::kernels;
#endif
#ifdef WAVCODES_HAS_NEON
    if (wants("neon")) return &wavcodes_neon::kernels;
#endif
    if (wants("generic")) return &wavcodes_generic::kernels;
    return nullptr;
}

}  // namespace wavcodes

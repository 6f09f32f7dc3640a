// Which kernels this machine runs.
#include <cstring>

#include "bfloat16.h"

#ifdef WAVCODES_HAS_AMX
#include <sys/syscall.h>
#include <unistd.h>

#include <cpuid.h>
#endif

#if defined(_MSC_VER) && (defined(_M_X64) || defined(_M_IX86))
#include <immintrin.h>
#include <intrin.h>
#endif

#define WAVCODES_DECLARE(ns)                    \
    namespace ns {                              \
    extern const wavcodes::Kernels kernels;     \
    extern const wavcodes::Bfloat16 bfloat16;   \
    }

WAVCODES_DECLARE(wavcodes_generic)
#ifdef WAVCODES_HAS_X86
WAVCODES_DECLARE(wavcodes_avx2)
WAVCODES_DECLARE(wavcodes_avx512)
#endif
#ifdef WAVCODES_HAS_NEON
WAVCODES_DECLARE(wavcodes_neon)
#endif
#ifdef WAVCODES_HAS_AMX
namespace wavcodes_amx {
extern const wavcodes::Bfloat16 bfloat16;
}
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

#ifdef WAVCODES_HAS_AMX
// The system gives a process the matrix unit's registers when it asks for them.
static bool has_amx() {
    constexpr int request = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    constexpr unsigned bf16 = 1u << 22, tile = 1u << 24;
    static const bool has = [] {
        unsigned a, b, c, d;
        return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & bf16) && (d & tile) && has_avx512() &&
               __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 5) &&  // AVX512_BF16
               syscall(SYS_arch_prctl, request, tile_data) == 0;
    }();
    return has;
}
#endif

static Kernels with(const char* name, Kernels kernels, const Bfloat16& bfloat16) {
    kernels.name = name;
    kernels.bfloat16 = &bfloat16;
    return kernels;
}

// A set by its name, and what computes with it what AMX does.
#define WAVCODES_SET(set, has)                                                                                     \
    if (wants(#set) && has) return &wavcodes_##set::kernels;                                                        \
    if (static const Kernels bf16 = with(#set "-bf16", wavcodes_##set::kernels, wavcodes_##set::bfloat16);          \
        std::strcmp(name, bf16.name) == 0 && has)                                                                   \
        return &bf16;

const Kernels* find_kernels(const char* name) {
    auto wants = [&](const char* set) { return name[0] == 0 || std::strcmp(name, set) == 0; };
#ifdef WAVCODES_HAS_AMX
    static const Kernels amx = with("amx-bf16", wavcodes_avx512::kernels, wavcodes_amx::bfloat16);
    if (std::strcmp(name, amx.name) == 0 && has_amx()) return &amx;
#endif
#ifdef WAVCODES_HAS_X86
    WAVCODES_SET(avx512, has_avx512())
    WAVCODES_SET(avx2, has_avx2())
#endif
#ifdef WAVCODES_HAS_NEON
    WAVCODES_SET(neon, true)
#endif
    WAVCODES_SET(generic, true)
    return nullptr;
}

}  // namespace wavcodes

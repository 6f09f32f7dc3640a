// Digests of what every layer gives, on every instruction set of this build: they are the same on all of them, and the
// same on every other machine. Needs no Python, so that a cross-compiled build can run it in an emulator.
#include <cstdint>
#include <cstdio>
#include <string>

#include "attention.h"
#include "noise.h"
#include "quantizers.h"

using namespace wavcodes;

namespace {

// Numbers in [-1, 1), always the same ones. Calls stand in statements of their own: C++ does not order arguments.
class Random {
   public:
    float next() {
        state_ = state_ * 6364136223846793005ull + 1442695040888963407ull;
        return float(int32_t(state_ >> 40) - (1 << 23)) / float(1 << 23);
    }
    std::vector<float> many(size_t n, float scale) {
        std::vector<float> v(n);
        for (float& x : v) x = next() * scale;
        return v;
    }

   private:
    uint64_t state_ = 1;
};

uint64_t digest(const void* data, size_t bytes, uint64_t hash = 14695981039346656037ull) {
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ static_cast<const unsigned char*>(data)[i]) * 1099511628211ull;
    return hash;
}

// Pushes `count` rows in pieces of 1, 2, 3, ... rows and digests the output.
uint64_t run(const Sequence& sequence, Random& random, size_t count, int threads) {
    Sequence::State state = sequence.start({7, 5});
    for (size_t given = 0, piece = 1; given < count; given += piece, piece++) {
        const size_t n = std::min(piece, count - given), channels = sequence.in_channels;
        const std::vector<float> rows = random.many(n * channels, 2.0f);
        sequence.append(state, rows.data(), n);
        state.queues.front().ended = given + n == count;
        sequence.advance(state, threads);
    }
    const Rows& out = state.queues.back();
    return digest(out.row(0), out.size() * out.channels() * sizeof(float));
}

uint64_t activations(const Kernels& kernels) {
    std::vector<float> x, y;
    for (int i = -40000; i <= 40000; i++) x.push_back(float(i) * 0.0025f);
    uint64_t hash = 0;
    for (Act act : {Act::elu, Act::leaky_relu, Act::gelu, Act::tanh}) {
        y.resize(x.size());
        kernels.activate(x.data(), y.data(), x.size(), 1, {act, 0.3f});
        hash = digest(y.data(), y.size() * sizeof(float), hash);
    }
    const std::vector<float> alpha{0.5f, -1.0f, 2.0f, 0.0f, 30.0f, 1.0f, 1.1f, 1.2f, 1.3f, 1e-6f, 5.0f, 7.0f, 1.0f};
    const size_t rows = x.size() / alpha.size();
    kernels.activate(x.data(), y.data(), rows, int(alpha.size()), Activation(alpha).function());
    return digest(y.data(), rows * alpha.size() * sizeof(float), hash);
}

// The weights of a network, for as long as it is built.
class Weights {
   public:
    explicit Weights(Random& random) : random_(random) {}
    Tensor operator()(size_t n, float scale, float offset = 0) {
        kept_.push_back(random_.many(n, scale));
        for (float& x : kept_.back()) x += offset;
        return {kept_.back().data()};
    }

   private:
    Random& random_;
    std::vector<std::vector<float>> kept_;
};

uint64_t attention(const Kernels& kernels, int threads) {
    Random random;
    Weights tensor(random);
    Sequence s(kernels, 64);
    s.add_activation(Activation(random.many(64, 2.0f)));
    const Tensor gain = tensor(64, 0.2f, 1), offset = tensor(64, 0.1f), qkv = tensor(3 * 64 * 64, 0.2f);
    const Tensor out = tensor(64 * 64, 0.2f);
    s.add(std::make_unique<LocalAttention>(kernels, 64, 2, 5, gain, offset, qkv, out));
    TransformerLayer::Weights w;
    for (Tensor* row : {&w.norm1, &w.norm1_bias, &w.scale1, &w.norm2, &w.norm2_bias, &w.scale2})
        *row = tensor(64, 0.2f, 0.7f);
    w.qkv = tensor(3 * 64 * 64, 0.2f);
    w.out = tensor(64 * 64, 0.2f);
    w.linear1 = tensor(64 * 80, 0.2f);
    w.linear2 = tensor(64 * 80, 0.2f);
    s.add(std::make_unique<TransformerLayer>(kernels, 64, 4, 80, 70, 1e-5f, w));
    s.add(std::make_unique<Noise>(kernels, 64, 3, tensor(64 * 64, 0.1f)));
    std::vector<std::unique_ptr<Sequence>> branches;
    for (int i = 0; i < 2; i++) {
        auto branch = std::make_unique<Sequence>(kernels, 64);
        const Tensor weight = tensor(64, 0.5f, 1), bias = tensor(64, 0.1f);
        if (i) branch->add(std::make_unique<GroupNorm>(kernels, 64, weight, bias, 1e-5f));
        branches.push_back(std::move(branch));
    }
    s.add(std::make_unique<Sum>(std::move(branches)));
    s.add(std::make_unique<TrimEnd>(64, 3));
    return run(s, random, 401, threads);
}

uint64_t network(const Kernels& kernels, int threads) {
    Random random;
    Weights tensor(random);
    auto conv = [&](Sequence& s, ConvShape shape) {
        const size_t inputs = size_t(shape.in / shape.groups) * shape.kernel;
        const Tensor weight = tensor(inputs * shape.out, 1.5f / std::max<size_t>(1, inputs / 4));
        const Tensor bias = tensor(shape.out, 0.1f);
        if (shape.groups == shape.in && shape.groups > 1)
            s.add(std::make_unique<DepthwiseConv>(kernels, shape, weight, bias));
        else
            s.add(std::make_unique<Conv>(kernels, shape, weight, bias));
    };
    Sequence s(kernels, 1);
    conv(s, {1, 40, 7, 1, 1, 1, 6, 0, Padding::reflect, false});
    for (bool projected : {false, true}) {
        auto body = std::make_unique<Sequence>(kernels, 40);
        body->add_activation({Act::elu, 0});
        conv(*body, {40, 20, 3, 1, 3, 1, 6, 0, Padding::replicate, false});
        body->add_activation(Activation(random.many(20, 3.0f)));
        const Tensor weight = tensor(40 * 20, 0.2f), bias = tensor(40, 0.1f);
        const Tensor shortcut = projected ? tensor(40 * 40, 0.1f) : Tensor{};
        const ConvShape last{20, 40, 1, 1, 1, 1, 0, 0, Padding::zeros, false};
        s.add(std::make_unique<Residual>(
            std::move(body),
            std::make_unique<Conv>(kernels, last, weight, bias, shortcut, Tensor{}, projected ? 40 : 0)));
    }
    conv(s, {40, 72, 10, 5, 1, 1, 5, 0, Padding::reflect, true});
    const Tensor gain = tensor(72, 1.0f), offset = tensor(72, 0.1f);
    s.add(std::make_unique<LayerNorm>(kernels, 72, gain, offset, 1e-5f));
    conv(s, {72, 72, 7, 1, 1, 72, 3, 3, Padding::zeros, false});
    s.add(std::make_unique<Lstm>(kernels, 72,
                                 std::vector<Lstm::Weights>{{tensor(4 * 72 * 72, 0.1f), tensor(4 * 72 * 72, 0.1f),
                                                             tensor(4 * 72, 0.1f), tensor(4 * 72, 0.1f)},
                                                            {tensor(4 * 72 * 72, 0.1f), tensor(4 * 72 * 72, 0.1f),
                                                             tensor(4 * 72, 0.1f), tensor(4 * 72, 0.1f)}}));
    const Tensor up = tensor(72 * 12 * 8, 0.05f), up_bias = tensor(24, 0.1f);
    s.add(std::make_unique<ConvTranspose>(kernels, 72, 24, 8, 4, 2, 4, up, up_bias));
    s.add_activation({Act::leaky_relu, 0.3f});
    conv(s, {24, 1, 7, 1, 1, 1, 3, 3, Padding::zeros, false});
    s.add_activation({Act::tanh, 0});
    return run(s, random, 1000, threads);
}

uint64_t quantizer(const Kernels& kernels, int threads) {
    Random random;
    Quantizer euclidean(kernels, 24, 100), cosine(kernels, 24, 100), split(kernels, 24, 100);
    for (int k = 0; k < 4; k++) {
        euclidean.add_euclidean(random.many(100 * 24, 1.0f).data());
        if (k < 2) {
            const std::vector<float> in = random.many(24 * 10, 0.5f), out = random.many(24 * 10, 0.5f);
            split.add_group(10, in.data(), out.data());
        }
        split.add_euclidean(random.many(100 * 10, 1.0f).data());
        const std::vector<float> in = random.many(6 * 24, 1.0f), in_bias = random.many(6, 1.0f);
        const std::vector<float> out = random.many(24 * 6, 1.0f), out_bias = random.many(24, 1.0f);
        const std::vector<float> book = random.many(100 * 6, 1.0f);
        cosine.add_cosine(8 >> k, 6, in.data(), in_bias.data(), out.data(), out_bias.data(), book.data());
    }
    const std::vector<float> latent = random.many(200 * 24, 1.0f);
    uint64_t hash = 0;
    for (const Quantizer* q : {&euclidean, &cosine, &split}) {
        std::vector<int32_t> codes(q->num_codes(200, 4));
        std::vector<float> back(latent.size());
        q->encode(latent.data(), 200, 4, codes.data(), threads);
        q->decode(codes.data(), 200, 4, back.data(), threads);
        hash = digest(codes.data(), codes.size() * sizeof(int32_t), hash);
        hash = digest(back.data(), back.size() * sizeof(float), hash);
    }
    return hash;
}

}  // namespace

int main() {
    uint64_t first = 0;
    bool same = true;
    for (const char* name : {"generic", "avx2", "avx512", "neon"}) {
        const Kernels* kernels = find_kernels(name);
        if (!kernels) continue;
        for (int threads : {1, 3}) {
            const uint64_t parts[] = {activations(*kernels), network(*kernels, threads), attention(*kernels, threads),
                                      quantizer(*kernels, threads)};
            const uint64_t all = digest(parts, sizeof parts);
            std::printf("%s threads=%d", name, threads);
            for (const uint64_t part : parts) std::printf(" %016llx", (unsigned long long)part);
            std::puts("");
            if (first == 0) first = all;
            same = same && all == first;
        }
    }
    std::printf("digest=%016llx\n", (unsigned long long)first);
    if (!same) std::puts("FAILED: the instruction sets disagree");
    return same ? 0 : 1;
}

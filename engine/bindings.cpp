// The Python module wavcodes._core: networks are built layer by layer, streams run them.
//
// Shapes are checked by the builder in engines/native_layers.py and once more here where a wrong one would read outside an
// array. A wrong use of a stream is Misuse, any other wrong argument ValueError.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "attention.h"
#include "fold.h"
#include "noise.h"
#include "quantizers.h"
#include "stream.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace wavcodes {
namespace {

Tensor tensor(const Input& a, std::initializer_list<size_t> shape) {
    bool same = a.ndim() == shape.size();
    for (size_t i = 0; same && i < shape.size(); i++) same = a.shape(i) == shape.begin()[i];
    require(same, "a tensor does not have the shape that its layer needs");
    return {a.data()};
}
Tensor tensor(const MaybeInput& a, std::initializer_list<size_t> shape) { return a ? tensor(*a, shape) : Tensor{}; }

Act act_of(const std::string& name) {
    if (name == "elu") return Act::elu;
    if (name == "leaky_relu") return Act::leaky_relu;
    if (name == "gelu") return Act::gelu;
    if (name == "tanh") return Act::tanh;
    throw nb::value_error("unknown activation");
}

Padding padding_of(const std::string& name) {
    if (name == "zeros") return Padding::zeros;
    if (name == "reflect") return Padding::reflect;
    if (name == "replicate") return Padding::replicate;
    throw nb::value_error("unknown padding");
}

void require_heads(size_t channels, int heads) {
    require(heads > 0 && channels % heads == 0 && channels / heads % Attend::unit == 0,
            "attention needs heads that share out the channels, a multiple of 16 to each");
}

const Kernels& kernels_of(const std::string& isa) {
    const Kernels* kernels = find_kernels(isa.c_str());
    if (!kernels) throw nb::value_error("this machine or build does not have that instruction set");
    return *kernels;
}

ConvShape conv_shape(const Input& weight, int stride, int dilation, int groups, int left, int right,
                     const std::string& padding, bool complete) {
    require(weight.ndim() == 3 && stride > 0 && dilation > 0 && groups > 0 && left >= 0 && right >= 0,
            "a convolution needs a weight (out, in / groups, kernel) and positive sizes");
    const int out = int(weight.shape(0)), in = int(weight.shape(1)) * groups, kernel = int(weight.shape(2));
    require(kernel > 0 && in > 0 && out > 0 && out % groups == 0, "the groups of a convolution must divide its channels");
    return {in, out, kernel, stride, dilation, groups, left, right, padding_of(padding), complete};
}

// The last convolution of a residual's body, kept apart because it also adds the shortcut.
struct LastConv {
    ConvShape shape;
    Input weight;
    MaybeInput bias;
};

}  // namespace

NB_MODULE(_core, m) {
    nb::set_leak_warnings(false);  // a daemon thread that is at work when Python ends keeps what it uses
    nb::exception<Misuse>(m, "Misuse");
    m.doc() = "The native engine: layers that stream.";

    m.def(
        "kernels", [](const std::string& isa) { return std::string(kernels_of(isa).name); }, "isa"_a,
        "Name of the kernels that `isa` selects; the best ones of this machine for an empty string.");

    m.def(
        "noise",
        [](uint64_t seed, int source, size_t first, size_t count) {
            require(count <= PTRDIFF_MAX / sizeof(float) - 16, "expected fewer numbers");
            std::unique_ptr<float[]> values(new float[count + 16]);
            noise(kernels_of(""), seed, source, first, count, values.get());
            return owned(values.release(), {count});
        },
        "seed"_a, "source"_a, "first"_a, "count"_a, "Numbers of a noise source, float32 (count,), from `first` on.");

    m.def(
        "fold",
        [](const Input& magnitude, const Input& direction) {
            require(magnitude.ndim() >= 1 && direction.ndim() >= 1, "expected rows");
            const size_t rows = direction.shape(0);
            require(magnitude.size() == rows && direction.size() > 0, "expected a magnitude for each row");
            auto weight = std::make_unique<Pages<float>>(direction.size());
            {
                const WithoutGil others_run;
                fold(magnitude.data(), direction.data(), rows, direction.size() / rows, weight->data());
            }
            float* data = weight->data();
            nb::capsule owner(weight.release(), [](void* p) noexcept { delete static_cast<Pages<float>*>(p); });
            return nb::ndarray<nb::numpy, float>(data, {direction.size()}, owner);
        },
        "magnitude"_a, "direction"_a, "magnitude * direction / |direction|, the norm taken over each row; flat.");

    nb::class_<LastConv>(m, "LastConv")
        .def(
            "__init__",
            [](LastConv* self, Input weight, MaybeInput bias, int stride, int dilation, int groups, int left, int right,
               const std::string& padding, bool complete) {
                new (self) LastConv{conv_shape(weight, stride, dilation, groups, left, right, padding, complete), weight,
                                    bias};
            },
            "weight"_a, "bias"_a.none(), "stride"_a, "dilation"_a, "groups"_a, "left"_a, "right"_a, "padding"_a,
            "complete"_a);

    nb::class_<Sequence>(m, "Sequence")
        .def(
            "__init__",
            [](Sequence* self, const std::string& isa, int channels, size_t together) {
                require(channels > 0, "a sequence needs at least one channel");
                new (self) Sequence(kernels_of(isa), channels, together);
            },
            "isa"_a, "channels"_a, "together"_a)
        .def("branch", &Sequence::branch, "An empty sequence for the rows that the next layer would get.")
        .def("needed", &Sequence::needed, "rows"_a)
        .def(
            "conv1d",
            [](Sequence& s, const Input& weight, const MaybeInput& bias, int stride, int dilation, int groups, int left,
               int right, const std::string& padding, bool complete) {
                const ConvShape shape = conv_shape(weight, stride, dilation, groups, left, right, padding, complete);
                require(shape.in == s.out_channels(), "a convolution does not fit the layer before it");
                const Tensor w{weight.data()}, b = tensor(bias, {size_t(shape.out)});
                if (shape.groups > 1 && shape.groups == shape.in && shape.in == shape.out)
                    s.add(std::make_unique<DepthwiseConv>(s.kernels, shape, w, b));
                else
                    s.add(std::make_unique<Conv>(s.kernels, shape, s.together(), w, b));
            },
            "weight"_a, "bias"_a.none(), "stride"_a, "dilation"_a, "groups"_a, "left"_a, "right"_a, "padding"_a,
            "complete"_a, nb::call_guard<WithoutGil>())
        .def(
            "conv_transpose1d",
            [](Sequence& s, const Input& weight, const MaybeInput& bias, int stride, int groups, int trim_left, int trim_right) {
                require(weight.ndim() == 3 && stride > 0 && groups > 0, "expected a weight (in, out / groups, kernel)");
                const int in = int(weight.shape(0)), out = int(weight.shape(1)) * groups, kernel = int(weight.shape(2));
                require(in == s.out_channels() && in % groups == 0, "a convolution does not fit the layer before it");
                require(kernel >= stride && trim_left >= 0 && trim_right >= 0 && trim_right <= kernel - stride,
                        "a transposed convolution needs 0 <= trim_left, 0 <= trim_right <= kernel - stride");
                s.add(std::make_unique<ConvTranspose>(s.kernels, in, out, kernel, stride, groups, trim_left, trim_right,
                                                      s.together(), Tensor{weight.data()}, tensor(bias, {size_t(out)})));
            },
            "weight"_a, "bias"_a.none(), "stride"_a, "groups"_a, "trim_left"_a, "trim_right"_a, nb::call_guard<WithoutGil>())
        .def(
            "activation", [](Sequence& s, const std::string& name, float slope) { s.add_activation({act_of(name), slope}); },
            "name"_a, "slope"_a = 0.0f)
        .def(
            "snake",
            [](Sequence& s, const Input& alpha) {
                const size_t n = s.out_channels();
                const float* a = tensor(alpha, {n}).data;
                s.add_activation(Activation(std::vector<float>(a, a + n)));
            },
            "alpha"_a)
        .def(
            "layer_norm",
            [](Sequence& s, const Input& weight, const Input& bias, float eps) {
                const size_t n = s.out_channels();
                s.add(std::make_unique<LayerNorm>(s.kernels, int(n), tensor(weight, {n}), tensor(bias, {n}), eps));
            },
            "weight"_a, "bias"_a, "eps"_a)
        .def(
            "group_norm",
            [](Sequence& s, const Input& weight, const Input& bias, float eps) {
                const size_t n = s.out_channels();
                s.add(std::make_unique<GroupNorm>(s.kernels, int(n), tensor(weight, {n}), tensor(bias, {n}), eps));
            },
            "weight"_a, "bias"_a, "eps"_a)
        .def(
            "noise",
            [](Sequence& s, const Input& weight, int source) {
                const size_t n = s.out_channels();
                s.add(std::make_unique<Noise>(s.kernels, int(n), source, tensor(weight, {n, n})));
            },
            "weight"_a, "source"_a)
        .def(
            "local_attention",
            [](Sequence& s, int heads, int window, const Input& norm_weight, const Input& norm_bias, const Input& qkv,
               const Input& out) {
                const size_t n = s.out_channels();
                require_heads(n, heads);
                require(window > 0, "attention needs a window");
                s.add(std::make_unique<LocalAttention>(s.kernels, int(n), heads, window, tensor(norm_weight, {n}),
                                                       tensor(norm_bias, {n}), tensor(qkv, {3 * n, n}),
                                                       tensor(out, {n, n})));
            },
            "heads"_a, "window"_a, "norm_weight"_a, "norm_bias"_a, "qkv"_a, "out"_a, nb::call_guard<WithoutGil>())
        .def(
            "transformer_layer",
            [](Sequence& s, int heads, int context, float eps, const std::vector<Input>& norms, const Input& qkv,
               const Input& out, const Input& linear1, const Input& linear2) {
                require_heads(s.out_channels(), heads);
                require(linear1.ndim() == 2, "expected a matrix");
                const size_t n = s.out_channels(), hidden = linear1.shape(0);
                require(context > 0 && hidden > 0 && norms.size() == 6, "a transformer layer needs a context and weights");
                auto row = [&](int i) { return tensor(norms[i], {n}); };
                const TransformerLayer::Weights weights{row(0), row(1), row(2), row(3), row(4), row(5),
                                                        tensor(qkv, {3 * n, n}), tensor(out, {n, n}),
                                                        tensor(linear1, {hidden, n}), tensor(linear2, {n, hidden})};
                s.add(std::make_unique<TransformerLayer>(s.kernels, int(n), heads, int(hidden), context, eps, weights));
            },
            "heads"_a, "context"_a, "eps"_a, "norms"_a, "qkv"_a, "out"_a, "linear1"_a, "linear2"_a, nb::call_guard<WithoutGil>())
        .def(
            "lstm",
            [](Sequence& s, const std::vector<std::vector<Input>>& layers) {
                const size_t n = s.out_channels();
                std::vector<Lstm::Weights> weights;
                for (const auto& l : layers) {
                    require(l.size() == 4, "an LSTM layer needs four tensors");
                    weights.push_back({tensor(l[0], {4 * n, n}), tensor(l[1], {4 * n, n}), tensor(l[2], {4 * n}),
                                       tensor(l[3], {4 * n})});
                }
                s.add(std::make_unique<Lstm>(s.kernels, int(n), weights));
            },
            "layers"_a, nb::call_guard<WithoutGil>())
        .def(
            "residual",
            [](Sequence& s, Sequence& body, const LastConv& last, const MaybeInput& shortcut,
               const MaybeInput& shortcut_bias) {
                require(body.in_channels == s.out_channels() && last.shape.in == body.out_channels(),
                        "the body of a residual layer does not fit the layer before it");
                const size_t in = body.in_channels, out = last.shape.out;
                require(shortcut || in == out, "a residual layer that changes the channels needs a shortcut");
                auto conv = std::make_unique<Conv>(s.kernels, last.shape, body.together(), Tensor{last.weight.data()},
                                                   tensor(last.bias, {out}), tensor(shortcut, {out, in}),
                                                   tensor(shortcut_bias, {out}), shortcut ? int(in) : 0);
                s.add(std::make_unique<Residual>(std::make_unique<Sequence>(std::move(body)), std::move(conv)));
            },
            "body"_a, "last"_a, "shortcut"_a.none(), "shortcut_bias"_a.none(), nb::call_guard<WithoutGil>())
        .def(
            "pad_end",
            [](Sequence& s, size_t multiple, size_t extra) {
                require(multiple > 0, "pad_end needs a positive multiple");
                s.add(std::make_unique<PadEnd>(s.out_channels(), multiple, extra));
            },
            "multiple"_a, "extra"_a)
        .def(
            "sum",
            [](Sequence& s, const std::vector<Sequence*>& branches) {
                require(branches.size() > 1, "a sum needs two branches or more");
                const int outputs = branches.front()->out_channels();
                std::vector<std::unique_ptr<Sequence>> own;
                for (Sequence* branch : branches) {
                    require(branch->in_channels == s.out_channels() && branch->out_channels() == outputs,
                            "the branches of a sum do not fit the layer before them or one another");
                    own.push_back(std::make_unique<Sequence>(std::move(*branch)));
                }
                s.add(std::make_unique<Sum>(std::move(own)));
            },
            "branches"_a)
        .def(
            "trim_end", [](Sequence& s, size_t rows) { s.add(std::make_unique<TrimEnd>(s.out_channels(), rows)); },
            "rows"_a)
        .def(
            "trim_start", [](Sequence& s, size_t rows) { s.add(std::make_unique<TrimStart>(s.out_channels(), rows)); },
            "rows"_a)
        .def("run", &run, "signals"_a, "threads"_a, "What becomes of each of several whole signals.");

    nb::class_<Stream>(m, "Stream")
        .def(nb::init<Sequence&, std::optional<uint64_t>, size_t>(), "sequence"_a, "seed"_a.none(), "first_row"_a,
             nb::keep_alive<1, 2>())
        .def("push", &Stream::push, "rows"_a, "threads"_a)
        .def("flush", &Stream::flush, "threads"_a);

    nb::class_<Quantizer>(m, "Quantizer")
        .def(
            "__init__",
            [](Quantizer* self, const std::string& isa, int dim, int size) {
                require(dim > 0 && size > 0, "a quantizer needs a positive width and size");
                new (self) Quantizer(kernels_of(isa), dim, size);
            },
            "isa"_a, "dim"_a, "size"_a)
        .def(
            "add_group",
            [](Quantizer& q, const Input& in_weight, const Input& out_weight) {
                require(in_weight.ndim() == 2, "expected a projection (width, dim)");
                const size_t dim = q.dim(), width = in_weight.shape(0);
                q.add_group(int(width), tensor(in_weight, {width, dim}).data, tensor(out_weight, {dim, width}).data);
            },
            "in_weight"_a, "out_weight"_a, nb::call_guard<WithoutGil>())
        .def(
            "add_euclidean",
            [](Quantizer& q, const Input& codebook) {
                q.add_euclidean(tensor(codebook, {size_t(q.size()), size_t(q.group_dim())}).data);
            },
            "codebook"_a, nb::call_guard<WithoutGil>())
        .def(
            "add_cosine",
            [](Quantizer& q, int stride, const Input& in_weight, const Input& in_bias, const Input& out_weight,
               const Input& out_bias, const Input& codebook) {
                require(codebook.ndim() == 2 && stride > 0, "expected a stride and a codebook (size, width)");
                const size_t dim = q.group_dim(), width = codebook.shape(1);
                q.add_cosine(stride, int(width), tensor(in_weight, {width, dim}).data, tensor(in_bias, {width}).data,
                             tensor(out_weight, {dim, width}).data, tensor(out_bias, {dim}).data,
                             tensor(codebook, {size_t(q.size()), width}).data);
            },
            "stride"_a, "in_weight"_a, "in_bias"_a, "out_weight"_a, "out_bias"_a, "codebook"_a, nb::call_guard<WithoutGil>())
        .def(
            "encode",
            [](const Quantizer& q, const Input& latent, int num_codebooks, int threads) {
                require(latent.ndim() == 2 && int(latent.shape(1)) == q.dim(), "expected a latent (T, dim)");
                require(num_codebooks > 0 && num_codebooks <= q.num_codebooks(), "no such number of codebooks");
                require(threads > 0, "expected at least one thread");
                const size_t rows = latent.shape(0), count = q.num_codes(rows, num_codebooks);
                require(rows % q.cycle(num_codebooks) == 0, "expected whole cycles of rows");
                auto codes = std::make_unique<int32_t[]>(std::max<size_t>(1, count));
                {
                    const WithoutGil others_run;
                    q.encode(latent.data(), rows, num_codebooks, codes.get(), threads);
                }
                return owned(codes.release(), {count});
            },
            "latent"_a, "num_codebooks"_a, "threads"_a,
            "Codes of rows (T, dim): all of book 0, then all of book 1 and so on.")
        .def(
            "decode",
            [](const Quantizer& q, const Array<int32_t>& codes, size_t rows, int num_codebooks, int threads) {
                require(num_codebooks > 0 && num_codebooks <= q.num_codebooks(), "no such number of codebooks");
                require(threads > 0, "expected at least one thread");
                require(codes.ndim() == 1 && rows % q.cycle(num_codebooks) == 0 &&
                            codes.shape(0) == q.num_codes(rows, num_codebooks),
                        "the codes do not fit the rows");
                for (size_t i = 0; i < codes.shape(0); i++)
                    require(codes.data()[i] >= 0 && codes.data()[i] < q.size(), "a code is out of range");
                std::unique_ptr<float[]> latent(new float[std::max<size_t>(1, rows * q.dim())]);
                {
                    const WithoutGil others_run;
                    q.decode(codes.data(), rows, num_codebooks, latent.get(), threads);
                }
                return owned(latent.release(), {rows, size_t(q.dim())});
            },
            "codes"_a, "rows"_a, "num_codebooks"_a, "threads"_a);
}

}  // namespace wavcodes

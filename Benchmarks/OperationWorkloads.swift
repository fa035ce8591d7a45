import Tapestry

enum Workloads {
    static let all: [Workload] =
        overhead + elementwise + reductions + copies + products + attention + convolutions + optimizers
        + selection + linearAlgebra + words + skipGram + models + vision + lowPrecision + inference

    /// Where what is timed runs: workloads make their tensors there.
    nonisolated(unsafe) static var device = Device.cpu
    /// The groups that run on a GPU, too; the others read elements on the CPU or measure what only it has.
    static let deviceGroups: Set<String> = ["op", "ew", "red", "matmul", "attn", "optim", "e2e"]

    static func normal(_ shape: Int..., grad: Bool = false) -> Tensor { normal(shape, grad: grad) }

    static func normal(_ shape: [Int], grad: Bool = false) -> Tensor {
        var x = Tensor(normal: shape).to(device)
        x.requiresGrad = grad
        return x
    }

    /// Keeps a result from being optimised away.
    @inline(never) @_optimize(none) static func use(_ x: Tensor) {}

    private static func clear(_ leaves: Tensor...) { for leaf in leaves { leaf.grad = nil } }

    static let overhead: [Workload] = [
        Workload("op", "op_add4_nograd") {
            let x = normal(4), y = normal(4)
            return Timed(shape: "(4,)+(4,)", inner: 2000) { use(x + y) }
        },
        Workload("op", "op_add4_grad") {
            let x = normal(4, grad: true), y = normal(4)
            return Timed(shape: "(4,)+(4,)", inner: 2000) { use(x + y) }
        },
        Workload("op", "op_chain10_fwdbwd") {
            let x = normal(4, grad: true), a = normal(4), b = normal(4)
            return Timed(shape: "(4,)", inner: 200) {
                var t = x * a
                t = t + b
                t = tanh(t)
                t = t * x
                t = t - a
                t = sigmoid(t)
                t = t * b
                t = t + x
                t = relu(t)
                clear(x)
                t.sum().backward()
            }
        },
        Workload("op", "op_mlp32_step") {
            let model = Sequential(Linear(32, 32), ReLU(), Linear(32, 32)).to(device)
            let optimizer = SGD(model.parameters, learningRate: 0.01)
            let x = normal(1, 32), y = normal(1, 32)
            return Timed(shape: "x(1,32) 32-32-32", items: ("steps", 1), inner: 100) {
                optimizer.zeroGrad()
                mseLoss(model(x), y).backward()
                optimizer.step()
            }
        },
    ]

    static let elementwise: [Workload] = [("1M", 1 << 20), ("16M", 1 << 24)].flatMap { label, n -> [Workload] in
        func unary(_ name: String, _ f: @escaping (Tensor) -> Tensor) -> Workload {
            Workload("ew", "ew_\(name)_\(label)") {
                let x = normal(n)
                return Timed(shape: "(\(n),)", bytes: 8 * Double(n)) { use(f(x)) }
            }
        }
        return [
            Workload("ew", "ew_add_\(label)") {
                let x = normal(n), y = normal(n)
                return Timed(shape: "(\(n),)", bytes: 12 * Double(n), reference: References.triad(n)) { use(x + y) }
            },
            // With an output made before: its storage goes back to the allocator and is taken again.
            Workload("ew", "ew_add_\(label)_out") {
                let x = normal(n), y = normal(n)
                var out = x
                return Timed(shape: "(\(n),)", bytes: 12 * Double(n)) {
                    out = x + y; use(out)
                }
            },
            Workload("ew", "ew_exp_\(label)_out") {
                let x = normal(n)
                var out = x
                return Timed(shape: "(\(n),)", bytes: 8 * Double(n)) {
                    out = exp(x); use(out)
                }
            },
            unary("exp") { exp($0) }, unary("tanh") { tanh($0) }, unary("gelu") { gelu($0) },
            unary("gelutanh") { gelu($0, approximate: .tanh) }, unary("sigmoid") { sigmoid($0) },
        ] + chain("", label, n, fused { x, w, b in gelu(x * w + b) }) + chain("_unfused", label, n) { x, w, b in gelu(x * w + b) }
    }

    /// A chain of three operations as one (`fused`, for which torch.compile is the peer), and one by one.
    private static func chain(
        _ suffix: String, _ label: String, _ n: Int, _ f: @escaping @Sendable (Tensor, Tensor, Tensor) -> Tensor
    ) -> [Workload] {
        [
            Workload("ew", "ew_chain_gelu_xw_b_\(label)\(suffix)") {
                let x = normal(n / 1024, 1024), w = normal(1024), b = normal(1024)
                return Timed(shape: "x(\(n / 1024),1024) w,b(1024,)", bytes: 8 * Double(n)) { use(f(x, w, b)) }
            },
            Workload("ew", "ew_chain_gelu_xw_b_\(label)_fwdbwd\(suffix)") {
                let x = normal(n / 1024, 1024, grad: true), w = normal(1024, grad: true), b = normal(1024, grad: true)
                let g = normal(n / 1024, 1024)
                return Timed(shape: "x(\(n / 1024),1024) w,b(1024,)", bytes: 20 * Double(n)) {
                    clear(x, w, b)
                    f(x, w, b).backward(gradient: g)
                }
            },
        ]
    }

    private static func reduction(_ name: String, _ f: @escaping (Tensor) -> Tensor) -> Workload {
        Workload("red", name) {
            let x = normal(4096, 4096)
            return Timed(shape: "(4096,4096)", bytes: 4 * Double(x.count)) { use(f(x)) }
        }
    }

    private static func norm(_ name: String, backward: Bool, _ f: @escaping (Tensor, Tensor, Tensor) -> Tensor) -> Workload {
        Workload("red", name) {
            let x = normal(8192, 768, grad: backward), w = normal(768, grad: backward), b = normal(768, grad: backward)
            let g = normal(8192, 768)
            return Timed(shape: "(8192,768)", bytes: (backward ? 20 : 8) * Double(x.count)) {
                let y = f(x, w, b)
                if backward {
                    clear(x, w, b)
                    y.backward(gradient: g)
                } else {
                    use(y)
                }
            }
        }
    }

    static let reductions: [Workload] = [
        reduction("sum_all") { $0.sum() }, reduction("sum_last") { $0.sum(1) }, reduction("sum_first") { $0.sum(0) },
        reduction("max_last") { $0.max(1) }, reduction("argmax_last") { $0.argmax(axis: 1) },
        reduction("var_last") { $0.variance(1) },
        Workload("red", "softmax_fwd") {
            let x = normal(4096, 1024)
            return Timed(shape: "(4096,1024)", bytes: 8 * Double(x.count)) { use(softmax(x)) }
        },
        Workload("red", "softmax_fwdbwd") {
            let x = normal(4096, 1024, grad: true), g = normal(4096, 1024)
            return Timed(shape: "(4096,1024)", bytes: 20 * Double(x.count)) {
                clear(x)
                softmax(x).backward(gradient: g)
            }
        },
        Workload("red", "logsoftmax_nll_fwdbwd") {
            let x = normal(2048, 50257, grad: true), labels = Tensor(integers: 0..<50257, shape: [2048]).to(device)
            return Timed(shape: "(2048,50257)", bytes: 12 * Double(x.count)) {
                clear(x)
                crossEntropy(x, labels).backward()
            }
        },
        norm("layer_norm_fwd", backward: false) { layerNorm($0, weight: $1, bias: $2) },
        norm("layer_norm_fwdbwd", backward: true) { layerNorm($0, weight: $1, bias: $2) },
        norm("rms_norm_fwd", backward: false) { x, w, _ in rmsNorm(x, weight: w, eps: 1e-5) },
        norm("rms_norm_fwdbwd", backward: true) { x, w, _ in rmsNorm(x, weight: w, eps: 1e-5) },
    ]

    static let copies: [Workload] = [
        // A copy is made when one of two values is written to.
        Workload("copy", "clone") {
            let x = normal(4096, 4096)
            return Timed(shape: "(4096,4096)", bytes: 8 * Double(x.count)) {
                var y = x
                y.withUnsafeMutableBytes { _ in }
                use(y)
            }
        },
        Workload("copy", "permute_contig") {
            let x = normal(64, 12, 256, 64)
            return Timed(shape: "(64,12,256,64)->(0,2,1,3)", bytes: 8 * Double(x.count)) {
                use(x.permuted(0, 2, 1, 3).contiguous())
            }
        },
        Workload("copy", "transpose2d_contig") {
            let x = normal(4096, 4096)
            return Timed(shape: "(4096,4096)", bytes: 8 * Double(x.count)) { use(x.T.contiguous()) }
        },
        Workload("copy", "cat_dim0") {
            let xs = (0..<4).map { _ in normal(2048, 2048) }
            return Timed(shape: "4x(2048,2048) dim 0", bytes: 32 * Double(xs[0].count)) { use(concatenate(xs, axis: 0)) }
        },
        Workload("copy", "cat_dim1") {
            let xs = (0..<4).map { _ in normal(2048, 2048) }
            return Timed(shape: "4x(2048,2048) dim 1", bytes: 32 * Double(xs[0].count)) { use(concatenate(xs, axis: 1)) }
        },
        Workload("copy", "gather_dim1") {
            let x = normal(4096, 1024), index = Tensor(integers: 0..<1024, shape: [4096, 256])
            return Timed(shape: "src(4096,1024) idx(4096,256)", bytes: Double(12 * index.count + 4 * x.count)) {
                use(x.gathered(axis: 1, index: index))
            }
        },
        Workload("copy", "embedding_fwd") {
            let table = normal(50257, 768), ids = Tensor(integers: 0..<50257, shape: [8192])
            return Timed(shape: "W(50257,768) ids(8192,)", bytes: 8 * 8192 * 768) { use(embedding(ids, table)) }
        },
        Workload("copy", "embedding_fwdbwd") {
            let table = normal(50257, 768, grad: true), ids = Tensor(integers: 0..<50257, shape: [8192]), g = normal(8192, 768)
            return Timed(shape: "W(50257,768) ids(8192,)", bytes: 768 * (12 * 8192 + 4 * 50257)) {
                clear(table)
                embedding(ids, table).backward(gradient: g)
                table.grad!.withUnsafeBytes { _ in }  // all of it, not only the rows
            }
        },
    ]

    static let products = products(.float32, "f32")

    /// Matrix products of one element type.
    static func products(_ dtype: DType, _ label: String) -> [Workload] {
        @Sendable func normal(_ shape: Int..., grad: Bool = false) -> Tensor {
            var x = Tensor(normal: shape).to(dtype).to(device)
            x.requiresGrad = grad
            return x
        }
        func row(_ name: String, _ setUp: @escaping () -> Timed) -> Workload { Workload("matmul", name, dtype: label, setUp) }
        let element = Double(dtype.byteCount)
        return [256, 1024, 2048, 4096].map { n in
            row("matmul_\(n)") {
                let a = normal(n, n), b = normal(n, n)
                return Timed(
                    shape: "(\(n),\(n))@(\(n),\(n))", flops: 2 * Double(n * n * n), inner: n == 256 ? 10 : 1,
                    reference: dtype == .float32 ? References.sgemm(n) : nil
                ) { use(a • b) }
            }
        } + [
            row("matmul_1024_fwdbwd") {
                let a = normal(1024, 1024, grad: true), b = normal(1024, 1024, grad: true), g = normal(1024, 1024)
                return Timed(shape: "(1024,1024)@(1024,1024)", flops: 6 * 1024 * 1024 * 1024) {
                    clear(a, b)
                    (a • b).backward(gradient: g)
                }
            },
            row("bmm_96") {
                let a = normal(96, 256, 64), b = normal(96, 64, 256)
                return Timed(shape: "(96,256,64)x(96,64,256)", flops: 2 * 96 * 256 * 64 * 256) { use(a • b) }
            },
            row("gemv_768x3072") {
                let x = normal(1, 768), w = normal(768, 3072)
                return Timed(shape: "(1,768)@(768,3072)", bytes: element * 768 * 3072, inner: 20) { use(x • w) }
            },
            row("gemv_768x3072_lin") {
                let x = normal(1, 768), w = normal(3072, 768)
                return Timed(shape: "(1,768)@W(3072,768)^T", bytes: element * 768 * 3072, inner: 20) { use(linear(x, w)) }
            },
            row("gemv_4096x11008") {
                let x = normal(1, 4096), w = normal(4096, 11008)
                return Timed(shape: "(1,4096)@(4096,11008)", bytes: element * 4096 * 11008) { use(x • w) }
            },
            row("gemv_4096x11008_lin") {
                let x = normal(1, 4096), w = normal(11008, 4096)
                return Timed(shape: "(1,4096)@W(11008,4096)^T", bytes: element * 4096 * 11008) { use(linear(x, w)) }
            },
            row("linear_bias_gelu_fwd") {
                let x = normal(1024, 768), w = normal(3072, 768) * 0.02, b = normal(3072)
                return Timed(shape: "x(1024,768) W(3072,768) b gelu", flops: 2 * 1024 * 768 * 3072) {
                    use(linear(x, w, b, activation: .gelu))
                }
            },
            row("linear_bias_gelu_fwdbwd") {
                let x = normal(1024, 768, grad: true), w = (normal(3072, 768) * 0.02).asLeaf(), b = normal(3072, grad: true)
                let g = normal(1024, 3072)
                return Timed(shape: "x(1024,768) W(3072,768) b gelu", flops: 6 * 1024 * 768 * 3072) {
                    clear(x, w, b)
                    linear(x, w, b, activation: .gelu).backward(gradient: g)
                }
            },
        ]
    }
}

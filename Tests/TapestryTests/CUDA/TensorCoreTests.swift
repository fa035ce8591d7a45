import CUDAEmulator
import ConformanceSuite
import Tapestry
import Testing

@testable import CUDABackend
@testable import CoreTensor

extension CUDATests {
    /// Products and attention by tensor cores, against the CPU in float32: all orientations, odd sizes and row lengths, both sizes of tiles, parts
    /// of k, epilogues.
    @Suite struct TensorCores {
        private let generator = RandomGenerator(seed: 33)
        private func draw(_ shape: [Int], _ type: DType = .float32) -> Tensor {
            Tensor(uniform: shape, low: -1, high: 1, generator: generator).to(type)
        }
        /// The same numbers, transposed in memory.
        private func turned(_ x: Tensor) -> Tensor { x.transposed().contiguous().transposed() }
        private let loose = Tolerance(relative: 1e-2, absolute: 3e-2)

        /// What runs when ``ProductShape`` takes large tiles from so few on, and parts of k of so many elements.
        private func shaped<R>(fewTiles: Int, shortestPart: Int = 512, _ body: () throws -> R) rethrows -> R {
            let before = (ProductShape.fewTiles, ProductShape.shortestPart)
            (ProductShape.fewTiles, ProductShape.shortestPart) = (fewTiles, shortestPart)
            defer { (ProductShape.fewTiles, ProductShape.shortestPart) = before }
            return try body()
        }
        private func withTF32<R>(_ body: () throws -> R) rethrows -> R {
            Configuration.allowsTF32 = true
            defer { Configuration.allowsTF32 = false }
            return try body()
        }
        private func same(_ f: ([Tensor]) -> Tensor, _ inputs: [Tensor], _ tolerance: Tolerance, _ what: String) {
            let expected = f(inputs.map { $0.to(.float32) }), actual = f(inputs.map(\.emulated))
            #expect(actual.device == Emulated.device && actual.dtype == inputs[0].dtype)
            let wrong = mismatch(actual.onCPU.to(.float32), expected, tolerance)
            #expect(wrong == nil, "\(what): \(wrong ?? "")")
        }
        private func everyOrientation(_ a: Tensor, _ b: Tensor, _ tolerance: Tolerance, _ what: String) {
            for (left, right) in [(a, b), (turned(a), b), (a, turned(b)), (turned(a), turned(b))] {
                same({ $0[0].matmul($0[1]) }, [left, right], tolerance, "\(what) \(a.shape) · \(b.shape)")
            }
        }

        @Test(arguments: [DType.bfloat16, .float16, .float32]) func products(_ type: DType) {
            withTF32 {
                for (few, sizes) in [(64, [(1, 3, 5), (64, 72, 40), (67, 33, 70)]), (1, [(130, 136, 40), (129, 5, 33)])] {
                    shaped(fewTiles: few) {
                        for (m, n, k) in sizes { everyOrientation(draw([m, k], type), draw([k, n], type), loose, "\(type)") }
                    }
                }
                // Rows longer than the matrix, and matrices that begin anywhere.
                let wide = draw([40, 100], type)
                everyOrientation(wide[0..., 3..<53], draw([50, 24], type), loose, "a part of \(type)")
                everyOrientation(draw([3, 20, 24], type), draw([3, 24, 9], type), loose, "a batch of \(type)")
                same(
                    { $0[0].matmul($0[1]) }, [draw([2, 5, 16], type), draw([16, 8], type)], loose, "one matrix for all of \(type)"
                )
                same({ $0[0].matmul($0[1]) }, [draw([4, 0], type), draw([0, 8], type)], loose, "nothing to sum")
            }
        }

        @Test(arguments: Emulated.orders) func partsOfSums(_ order: Int) {
            Emulated.ordered(order) {
                shaped(fewTiles: 8, shortestPart: 32) {
                    for type in [DType.bfloat16, .float32] {
                        let a = draw([2, 30, 200], type), b = draw([2, 200, 21], type)
                        #expect(ProductShape(m: 30, n: 21, k: 200, batch: 2).splits > 2)
                        same({ $0[0].matmul($0[1]) }, [a, b], loose, "\(type) in parts")
                    }
                    let x = draw([12, 300]), w = draw([20, 300]), bias = draw([20])
                    same(
                        { linear($0[0], $0[1], $0[2], activation: .gelu) }, [x, w, bias], .standard(.float32), "parts, then GELU")
                }
            }
        }

        /// float32 without TF32 is as exact as the CPU; with it, it is not, but on devices that have no tensor cores for it.
        @Test func precision() {
            let a = draw([70, 50]), b = draw([50, 40])
            let exact = a.matmul(b), there = (a.emulated, b.emulated)
            #expect(!Configuration.allowsTF32)
            #expect(mismatch(there.0.matmul(there.1).onCPU, exact) == nil)
            withTF32 {
                let rounded = there.0.matmul(there.1).onCPU
                #expect(mismatch(rounded, exact) != nil && mismatch(rounded, exact, loose) == nil)
            }
            shaped(fewTiles: 1) {
                everyOrientation(draw([131, 37]), draw([37, 66]), .standard(.float32), "large tiles of float32")
            }
        }

        @Test(arguments: [DType.bfloat16, .float16, .float32]) func epilogues(_ type: DType) {
            let tolerance = type == .float32 ? Tolerance.standard(.float32) : loose
            for few in [64, 1] {
                shaped(fewTiles: few) {
                    let x = draw([33, 24], type), w = draw([42, 24], type), bias = draw([42], type)
                    same({ linear($0[0], $0[1], $0[2]) }, [x, w, bias], tolerance, "a bias of \(type)")
                    for activation in [LinearActivation.relu, .gelu, .geluTanh, .silu] {
                        let inputs = [x, w, bias]
                        same(
                            { linear($0[0], $0[1], $0[2], activation: activation) }, inputs, tolerance, "\(activation) of \(type)"
                        )
                        // What the gradient needs of the product is kept.
                        func gradient(_ inputs: [Tensor]) -> Tensor {
                            let leaves = inputs.map { $0.asLeaf() }
                            linear(leaves[0], leaves[1], leaves[2], activation: activation).sum().backward()
                            return leaves[1].grad!
                        }
                        same(
                            gradient, inputs, Tolerance(relative: 2e-2, absolute: 8e-2),
                            "the gradient of \(activation) of \(type)")
                    }
                }
            }
            // Two gradients of one weight: the second is added by the product.
            func twice(_ inputs: [Tensor]) -> Tensor {
                let leaves = inputs.map { $0.asLeaf() }
                (linear(leaves[0], leaves[1]).sum() + (linear(leaves[0] * 2, leaves[1]) * 3).sum()).backward()
                return leaves[1].grad!
            }
            same(twice, [draw([20, 9], type), draw([7, 9], type)], Tolerance(relative: 2e-2, absolute: 0.3), "sums of \(type)")
        }

        /// A float32 layer in a region of 16 bits: the product in 16, the weight's gradient in 32.
        @Test(arguments: [DType.bfloat16, .float16]) func loweredLayers(_ type: DType) {
            let x = draw([10, 16]), w = draw([12, 16]), bias = draw([12])
            func run(_ inputs: [Tensor]) -> (Tensor, Tensor) {
                let leaves = inputs.map { $0.asLeaf() }
                let y = autocast(to: type) { linear(leaves[0], leaves[1], leaves[2]) }
                y.to(.float32).sum().backward()
                return (y, leaves[1].grad!)
            }
            let expected = run([x, w, bias]), actual = run([x, w, bias].map(\.emulated))
            #expect(actual.0.dtype == type && actual.1.dtype == .float32)
            #expect(mismatch(actual.0.onCPU.to(.float32), expected.0.to(.float32), loose) == nil)
            #expect(mismatch(actual.1.onCPU, expected.1, loose) == nil)
        }

        /// sm_90's own products: boxes of all orientations, tiles that are cut off, several tiles to a block, batches, epilogues.
        @Test(arguments: Emulated.orders) func hopper(_ order: Int) {
            let few = CUDABackend.fewHopperTiles
            CUDABackend.fewHopperTiles = 1
            defer { CUDABackend.fewHopperTiles = few }
            let type: DType = order == 1 ? .float16 : .bfloat16
            Emulated.ordered(order) {
                everyOrientation(draw([136, 72], type), draw([72, 264], type), loose, "sm_90, \(type)")
                same({ $0[0].matmul($0[1]) }, [draw([3, 24, 16], type), draw([3, 16, 40], type)], loose, "a batch on sm_90")
                same(
                    { $0[0].matmul($0[1]) }, [draw([3, 24, 16], type), draw([1, 16, 40], type)], loose,
                    "one matrix for all on sm_90")
                let inputs = [draw([9, 328], type), draw([16, 328], type), draw([16], type)]
                same({ linear($0[0], $0[1], $0[2], activation: .silu) }, inputs, loose, "SiLU on sm_90")
            }
        }

        /// Convolutions and their gradients: windows of all kinds, groups, one tap, both sizes of tiles, sums in parts.
        @Test(arguments: [DType.bfloat16, .float16, .float32]) func convolutions(_ type: DType) {
            func gradients(
                _ f: @escaping (Tensor, Tensor, Tensor) -> Tensor, _ x: Tensor, _ w: Tensor, _ bias: Tensor, _ what: String
            ) {
                func run(_ inputs: [Tensor]) -> [Tensor] {
                    let leaves = inputs.map { $0.asLeaf() }, y = f(leaves[0], leaves[1], leaves[2])
                    (y * y.detached() * 0.25).sum().backward()
                    return [y] + leaves.map { $0.grad! }
                }
                let inputs = [x, w, bias].map { $0.to(type) }, actual = run(inputs.map(\.emulated))
                #expect(actual.allSatisfy { $0.dtype == type && $0.device == Emulated.device })
                for (k, (a, b)) in zip(actual, run(inputs.map { $0.to(.float32) })).enumerated() {
                    let wrong = mismatch(a.onCPU.to(.float32), b, Tolerance(relative: 3e-2, absolute: 0.1))
                    #expect(wrong == nil, "\(what) of \(type), \(["output", "dx", "dw", "db"][k]): \(wrong ?? "")")
                }
            }
            withTF32 {
                for (few, part) in [(64, 512), (1, 512), (8, 16)] {
                    shaped(fewTiles: few, shortestPart: part) {
                        gradients(
                            { conv2d($0, $1, $2, stride: [2, 1], padding: 1, dilation: [1, 2], groups: 2) }, draw([2, 6, 9, 8]),
                            draw([8, 3, 3, 2]), draw([8]), "strides and groups")
                        gradients({ conv1d($0, $1, $2) }, draw([3, 5, 16]), draw([7, 5, 1]), draw([7]), "one tap")
                    }
                }
                gradients(
                    { conv3d($0, $1, $2, padding: 1) }, draw([1, 2, 3, 4, 5]), draw([3, 2, 2, 3, 2]), draw([3]), "three axes")
                gradients(
                    { convTranspose2d($0, $1, $2, stride: 2, padding: 1) }, draw([2, 4, 5, 3]), draw([4, 3, 3, 3]), draw([3]),
                    "transposed")
            }
        }

        private struct Attention {
            var batch = 1, heads = 1, kvHeads = 1, queries = 70, keys = 70, dim = 64, width = 64, window: Int?, causal = true
        }

        /// What runs when sm_90's own attention is taken from so many queries and keys on.
        private func hopperAttention<R>(from few: Int, _ body: () throws -> R) rethrows -> R {
            let before = CUDABackend.fewHopperQueries
            CUDABackend.fewHopperQueries = few
            defer { CUDABackend.fewHopperQueries = before }
            return try body()
        }

        /// Forward and gradients, with what is cut off at the edges of tiles and masks: by warps, and by groups of four.
        @Test(arguments: Emulated.orders, [true, false]) func attention(_ order: Int, ofGroups: Bool) {
            // More tiles than there are stages of them, where groups take larger ones.
            let long = [
                Attention(heads: 2, queries: 150, keys: 390, dim: 128, width: 128),
                Attention(queries: 260, keys: 130, dim: 40, width: 128, causal: false),
                Attention(heads: 4, kvHeads: 2, queries: 129, keys: 200, dim: 64, width: 16, window: 40),
            ]
            let cases =
                (ofGroups ? long : []) + [
                    Attention(), Attention(batch: 2, heads: 4, kvHeads: 2, queries: 33, keys: 65, dim: 24, width: 40),
                    Attention(queries: 1, keys: 130, dim: 128, width: 128),
                    Attention(queries: 66, keys: 90, window: 17, causal: false),
                    Attention(heads: 2, queries: 80, keys: 20, dim: 72, width: 8), Attention(queries: 5, keys: 3, causal: false),
                ]
            for (number, c) in cases.enumerated() {
                let type: DType = number % 2 == 0 ? .bfloat16 : .float16
                let inputs = [
                    draw([c.batch, c.queries, c.heads, c.dim], type), draw([c.batch, c.keys, c.kvHeads, c.dim], type),
                    draw([c.batch, c.keys, c.kvHeads, c.width], type),
                ]
                let weights = draw([c.batch, c.heads, c.queries, c.width], type)
                func run(_ inputs: [Tensor], _ weights: Tensor) -> [Tensor] {
                    // Heads inside positions, as projections give them.
                    let leaves = inputs.map { $0.asLeaf() }, parts = leaves.map { $0.transposed(1, 2) }
                    let y = scaledDotProductAttention(parts[0], parts[1], parts[2], causal: c.causal, window: c.window)
                    (y * weights).sum().backward()
                    return [y] + leaves.map { $0.grad! }
                }
                let expected = run(inputs.map { $0.to(.float32) }, weights.to(.float32))
                hopperAttention(from: ofGroups ? 1 : .max) {
                    Emulated.ordered(order) {
                        let there = inputs.map(\.emulated.raw), plan = AttentionPlan(scale: 1, causal: true, position: 0)
                        let backend = try! CUDA.backend(0)
                        #expect(backend.flashHead(there, plan) != nil)
                        #expect((backend.hopperMaps(there, plan, "attention") != nil) == ofGroups)
                        for (k, (a, b)) in zip(run(inputs.map(\.emulated), weights.emulated), expected).enumerated() {
                            let wrong = mismatch(a.onCPU.to(.float32), b, Tolerance(relative: 2e-2, absolute: 3e-2))
                            #expect(wrong == nil, "\(c), \(["output", "dq", "dk", "dv"][k]): \(wrong ?? "")")
                        }
                    }
                }
            }
        }

        /// What tensor cores do not take goes the plain way: masks, caps, heads that are no multiple of 8, float32.
        @Test func plainAttention() {
            let q = draw([1, 2, 9, 16], .bfloat16), k = draw([1, 2, 11, 16], .bfloat16), odd = draw([1, 2, 9, 12], .bfloat16)
            let mask = Tensor((0..<99).map { $0 % 3 != 0 }, shape: [9, 11]), there = mask.emulated
            same(
                { scaledDotProductAttention($0[0], $0[1], $0[1], mask: $0[0].device == .cpu ? mask : there) }, [q, k], loose,
                "a mask")
            same({ scaledDotProductAttention($0[0], $0[1], $0[1], softCap: 2) }, [q, k], loose, "a soft cap")
            same({ scaledDotProductAttention($0[0], $0[0], $0[0], causal: true) }, [odd], loose, "heads of 12")
            same(
                { scaledDotProductAttention($0[0], $0[0], $0[0], causal: true) }, [q.to(.float32)], .standard(.float32), "float32"
            )
        }

        /// sm_75 has no such tensor cores: 16-bit floats are multiplied by tiles of FMAs there, convolved in float32, and attention is the plain one.
        @Test(arguments: [DType.bfloat16, .float16]) func olderDevices(_ type: DType) throws {
            _ = Emulated.device
            let backend = try Emulated.with {
                $0.capability = 75
            } _: {
                CUDABackend(try CUDAContext(CUDADriver($0), index: 0))
            }
            let a = draw([20, 30], type), b = draw([30, 9], type),
                c = Tensor(zeros: [20, 9], dtype: type, device: Emulated.device)
            backend.matmul(a.emulated.raw, b.emulated.raw, c.raw, MatMulPlan(m: 20, n: 9, k: 30, lda: 30, ldb: 9), bias: nil)
            #expect(mismatch(c.onCPU.to(.float32), a.to(.float32).matmul(b.to(.float32)), loose) == nil)
            let x = draw([2, 3, 6, 5], type), w = draw([4, 3, 3, 3], type)
            let y = Tensor(zeros: [2, 4, 4, 3], dtype: type, device: Emulated.device)
            let plan = ConvolutionPlan(
                batch: 2, groups: 1, inputs: 3, outputs: 4, input: [1, 6, 5], output: [1, 4, 3], kernel: [1, 3, 3],
                stride: [1, 1, 1], padding: [0, 0, 0], dilation: [1, 1, 1])
            #expect(!backend.isTensorConvolution(type, plan))
            backend.convolution(x.emulated.raw, weight: w.emulated.raw, bias: nil, y.raw, plan)
            #expect(mismatch(y.onCPU.to(.float32), conv2d(x.to(.float32), w.to(.float32)), loose) == nil)
            let q = draw([1, 1, 4, 16], type).emulated.raw, causal = AttentionPlan(scale: 1, causal: true, position: 0)
            #expect(backend.flashHead([q, q, q], causal) == nil)
            #expect(try CUDA.backend(0).flashHead([q, q, q], causal) == 64)
        }

        /// Planted faults in the pipelines are seen in some order of threads.
        @Test(arguments: ["missing barrier", "missing wait", "missing product wait", "wrong stride"]) func faults(_ fault: String)
        {
            func isSeen(_ f: ([Tensor]) -> Tensor, _ inputs: [Tensor]) -> Bool {
                let expected = f(inputs.map { $0.to(.float32) }), there = inputs.map(\.emulated)
                return Emulated.faulty(fault) {
                    Emulated.orders.contains { order in
                        Emulated.ordered(order) {
                            do {
                                let actual = try CUDA.catchingErrors { f(there).onCPU.to(.float32) }
                                return mismatch(actual, expected, loose) != nil
                            } catch { return true }
                        }
                    }
                }
            }
            for type in [DType.bfloat16, .float16] where fault != "missing product wait" {
                #expect(isSeen({ $0[0].matmul($0[1]) }, [draw([70, 100], type), draw([100, 40], type)]), "\(fault), \(type)")
            }
            if fault == "missing barrier" {
                shaped(fewTiles: 1) {
                    #expect(isSeen({ $0[0].matmul($0[1]) }, [draw([130, 40]), draw([40, 130])]), "large tiles")
                }
            }
            if fault == "missing wait" || fault == "missing product wait" {
                let few = CUDABackend.fewHopperTiles
                CUDABackend.fewHopperTiles = 1
                defer { CUDABackend.fewHopperTiles = few }
                #expect(isSeen({ $0[0].matmul($0[1]) }, [draw([16, 400], .bfloat16), draw([400, 16], .bfloat16)]), "sm_90")
            }
            // Groups have no barrier in their loop that could be missing, warps no products to wait for.
            for isOfGroups in [false, true]
            where fault == "missing wait" || fault == (isOfGroups ? "missing product wait" : "missing barrier") {
                hopperAttention(from: isOfGroups ? 1 : .max) {
                    func attend(_ inputs: [Tensor]) -> Tensor {
                        scaledDotProductAttention(inputs[0], inputs[0], inputs[0], causal: true)
                    }
                    func gradient(_ inputs: [Tensor]) -> Tensor {
                        let leaf = inputs[0].asLeaf()
                        (attend([leaf]) * inputs[0]).sum().backward()
                        return leaf.grad!
                    }
                    let q = draw([1, 1, 150, 64], .bfloat16)
                    #expect(isSeen(attend, [q]), "\(fault) in attention, \(isOfGroups)")
                    #expect(isSeen(gradient, [q]), "\(fault) in the gradients of attention, \(isOfGroups)")
                }
            }
        }
    }
}

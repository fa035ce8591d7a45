import CCUDA
import CUDAEmulator
import ConformanceSuite
import Tapestry
import Testing

@testable import CUDABackend
@testable import CoreTensor

extension CUDATests {
    /// Products of a matrix with up to 8 vectors, against the CPU in float32: both layouts of the matrix, on either side, batches, parts of k, what
    /// is cut off at the ends of lines and pieces, epilogues.
    @Suite struct VectorProducts {
        private let generator = RandomGenerator(seed: 44)
        private func draw(_ shape: [Int], _ type: DType = .float32) -> Tensor {
            Tensor(uniform: shape, low: -1, high: 1, generator: generator).to(type)
        }
        /// The same numbers, transposed in memory.
        private func turned(_ x: Tensor) -> Tensor { x.transposed().contiguous().transposed() }
        private func tolerance(_ type: DType) -> Tolerance {
            type == .float32 ? .standard(.float32) : Tolerance(relative: 1e-2, absolute: 3e-2)
        }
        private func same(_ f: ([Tensor]) -> Tensor, _ inputs: [Tensor], _ what: String, _ tolerance: Tolerance? = nil) {
            let type = inputs[0].dtype, expected = f(inputs.map { $0.to(.float32) }), actual = f(inputs.map(\.emulated))
            #expect(actual.device == Emulated.device && actual.dtype == type)
            let wrong = mismatch(actual.onCPU.to(.float32), expected, tolerance ?? self.tolerance(type))
            #expect(wrong == nil, "\(what) of \(type): \(wrong ?? "")")
        }
        /// With so many blocks wanted, so that small products are cut into parts, too.
        private func wanting<R>(_ blocks: Int, _ body: () throws -> R) rethrows -> R {
            let before = VectorShape.fewBlocks
            VectorShape.fewBlocks = blocks
            defer { VectorShape.fewBlocks = before }
            return try body()
        }
        private func shape(_ m: Int, _ n: Int, _ k: Int, _ type: DType = .bfloat16, turnB: Bool = true) -> VectorShape? {
            var p = tk_cuda_gemm()
            (p.m, p.n, p.k, p.batch) = (Int64(m), Int64(n), Int64(k), 1)
            (p.lda, p.ldb, p.transpose_b) = (p.k, turnB ? p.k : p.n, turnB ? 1 : 0)
            return VectorShape(p, type, 256, 512)
        }

        @Test(arguments: Emulated.orders, [DType.float32, .float16, .bfloat16]) func bothLayoutsOnBothSides(
            _ order: Int, _ type: DType
        ) {
            Emulated.ordered(order) {
                for (blocks, count) in [(1, 1), (1, 8), (64, 3)] {
                    wanting(blocks) {
                        let x = draw([count, 264], type), w = draw([264, 80], type)
                        for (a, b) in [(x, w), (x, turned(w)), (turned(x), w), (turned(x), turned(w))] {
                            same({ $0[0].matmul($0[1]) }, [a, b], "\(count) rows, \(blocks) blocks")
                            same({ $0[0].matmul($0[1]) }, [b.transposed(), a.transposed()], "\(count) columns, \(blocks) blocks")
                        }
                    }
                }
            }
        }

        /// Lines and k that end within pieces, in longer rows, and a matrix for each vector.
        @Test(arguments: [DType.float32, .float16, .bfloat16]) func edgesAndBatches(_ type: DType) {
            for blocks in [1, 512] {
                wanting(blocks) {
                    let x = draw([2, 272], type)[0..., 0..<259]
                    same({ $0[0].matmul($0[1]) }, [x, draw([259, 48], type)[0..., 0..<43]], "lines across k")
                    same({ $0[0].matmul($0[1].transposed()) }, [x, draw([37, 264], type)[0..., 0..<259]], "lines along k")
                    same({ $0[0].matmul($0[1]) }, [draw([3, 1, 264], type), draw([3, 264, 24], type)], "a batch across k")
                    same(
                        { $0[0].matmul($0[1].transposed(1, 2)) }, [draw([3, 5, 264], type), draw([3, 6, 264], type)],
                        "a batch along k")
                    // Vectors that begin anywhere.
                    let odd = draw([2, 265], type)[0..., 1..<265]
                    same({ $0[0].matmul($0[1].transposed()) }, [odd, draw([9, 264], type)], "vectors at odd places")
                }
            }
        }

        @Test(arguments: [DType.float32, .float16, .bfloat16]) func epilogues(_ type: DType) {
            for (blocks, rows, outputs) in [(1, 4, 30), (512, 1, 30), (512, 7, 30), (1, 20, 5), (512, 20, 6)] {
                wanting(blocks) {
                    let x = draw([rows, 264], type), w = draw([outputs, 264], type) * 0.1, bias = draw([outputs], type)
                    same({ linear($0[0], $0[1], $0[2]) }, [x, w, bias], "a bias of \(rows) × \(outputs)")
                    for activation in [LinearActivation.relu, .gelu, .geluTanh, .silu] {
                        same({ linear($0[0], $0[1], $0[2], activation: activation) }, [x, w, bias], "\(activation)")
                        // What the gradient needs of the product is kept.
                        func gradient(_ inputs: [Tensor]) -> Tensor {
                            let leaves = inputs.map { $0.asLeaf() }
                            linear(leaves[0], leaves[1], leaves[2], activation: activation).sum().backward()
                            return leaves[0].grad!
                        }
                        same(
                            gradient, [x, w, bias], "the gradient of \(activation)",
                            type == .float32 ? nil : Tolerance(relative: 3e-2, absolute: 0.1))
                    }
                    let start = draw([rows, outputs], type),
                        plan = MatMulPlan(
                            transposeB: true, m: rows, n: outputs, k: 264, lda: 264, ldb: 264, accumulate: true)
                    let out = start.emulated.raw.denseCopy()
                    try! CUDA.backend(0).matmul(x.emulated.raw, w.emulated.raw, out, plan, bias: nil)
                    let expected = start.to(.float32) + x.to(.float32).matmul(w.to(.float32).transposed())
                    #expect(mismatch(Tensor(raw: out).onCPU.to(.float32), expected, tolerance(type)) == nil, "added to \(type)")
                }
            }
        }

        /// The same bits in any order of threads.
        @Test func sumsHaveOneOrder() {
            wanting(512) {
                for w in [draw([40, 520]), turned(draw([40, 520]))] {
                    let x = draw([3, 520]).emulated, there = w.emulated
                    let results = Emulated.orders.map { order in
                        Emulated.ordered(order) { x.matmul(there.transposed()).onCPU.scalars(Float.self).map(\.bitPattern) }
                    }
                    #expect(results[0] == results[1] && results[0] == results[2])
                }
            }
        }

        /// Where it is taken, and how it is cut up: blocks enough for a device that is busy with 256, each with enough to do.
        @Test func shapes() throws {
            let head = try #require(shape(1, 50_304, 768)), projection = try #require(shape(1, 768, 768))
            #expect(head.isAlong && !head.isTurned && head.few == 1 && head.parts == 1 && head.splits == 1)
            #expect(head.grid == (1572, 1))
            #expect(projection.parts == 2 && projection.splits == 1 && projection.grid == (48, 1))
            let deep = try #require(shape(4, 64, 65_536)), across = try #require(shape(2, 4096, 4096, turnB: false))
            #expect(deep.parts == 8 && deep.splits == 16 && deep.few == 4 && deep.grid == (16, 16))
            #expect(!across.isAlong && across.splits == 4 && across.grid == (64, 4))
            #expect(try #require(shape(30, 3, 512)).isTurned)
            #expect(shape(9, 9, 512) == nil && shape(1, 64, 512, .float64) == nil && shape(1, 64, 8) == nil)
            #expect(shape(1, 64, 513) == nil, "rows that are no multiple of 16 bytes")
        }

        @Test(arguments: ["missing barrier", "wrong stride"]) func faults(_ fault: String) {
            // As many vectors as the kernel has sums for: what is read too early is the last of them.
            let x = draw([4, 520]), w = draw([520, 48])
            for (name, weight) in [("across", w), ("along", turned(w))] {
                let there = (x.emulated, weight.emulated), expected = x.matmul(w)
                let isSeen = Emulated.faulty(fault) {
                    Emulated.orders.contains { order in
                        Emulated.ordered(order) { mismatch(there.0.matmul(there.1).onCPU, expected) != nil }
                    }
                }
                #expect(isSeen, "\(fault) \(name)")
            }
        }
    }
}

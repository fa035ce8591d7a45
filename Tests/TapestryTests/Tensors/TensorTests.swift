import Foundation
import Tapestry
import Testing

/// Making tensors, looking at them, taking them apart.
@Suite struct TensorTests {
    @Test func literals() {
        #expect(Tensor(3.5).shape == [])
        #expect(Tensor(3.5).dtype == .float32)
        #expect(Tensor([1, 2, 3]).dtype == .int64)
        #expect(Tensor([true, false]).dtype == .bool)
        #expect(Tensor([Float(1)]).dtype == .float32)
        #expect(Tensor([[[1.0, 2], [3, 4], [5, 6]]]).shape == [1, 3, 2])
        #expect(Tensor([[1, 2], [3, 4]], dtype: .float64).matrix(Double.self) == [[1, 2], [3, 4]])
        #expect(Tensor([Double](), shape: [0, 3]).count == 0)
        #expect(Tensor([1.0, 2]).scalars(Int.self) == [1, 2])
    }

    @Test func creation() {
        #expect(Tensor(arange: 4).scalars(Int.self) == [0, 1, 2, 3])
        #expect(Tensor(arange: 1, to: 2, by: 0.25).scalars(Double.self) == [1, 1.25, 1.5, 1.75])
        #expect(Tensor(arange: 3, to: 0, by: -1).scalars(Int.self) == [3, 2, 1])
        #expect(Tensor(linspace: 0, to: 1, count: 5, dtype: .float64).scalars(Double.self) == [0, 0.25, 0.5, 0.75, 1])
        #expect(Tensor(linspace: -0.1, to: 0.3, count: 7).scalars(Float.self).last == 0.3)
        #expect(Tensor(eye: 2).matrix(Int.self) == [[1, 0], [0, 1]])
        #expect(Tensor(oneHot: Tensor([2, 0]), classes: 3).matrix(Int.self) == [[0, 0, 1], [1, 0, 0]])
        #expect(Tensor(repeating: 7, shape: [2, 2], dtype: .int8).sum().item(Int.self) == 28)
        #expect(Tensor(zerosLike: Tensor([1, 2])).dtype == .int64)
    }

    @Test func conversions() {
        // Towards zero from floats, wrapping between integers, as PyTorch's.
        #expect(Tensor([-1.9, 1.9]).to(.int32).scalars(Int.self) == [-1, 1])
        #expect(Tensor([300, -1]).to(.uint8).scalars(Int.self) == [44, 255])
        #expect(Tensor([0.0, -0.0, 0.1]).to(.bool).scalars(Bool.self) == [false, false, true])
        #expect((Tensor([127], dtype: .int8) + Tensor([1], dtype: .int8)).scalars(Int.self) == [-128])
    }

    #if !os(macOS) || arch(arm64)
        /// Every half, to float and back, against the compiler's own type.
        @Test func halves() {
            let bits = (0...UInt16.max).map { $0 }
            let expected = bits.map { Float(Float16(bitPattern: $0)) }
            let singles = Tensor(expected, shape: [65536])
            let halves = singles.to(.float16)
            let back = halves.withUnsafeBytes { Array($0.bindMemory(to: UInt16.self)) }
            for (before, after) in zip(bits, back) {
                if Float16(bitPattern: before).isNaN {
                    #expect(Float16(bitPattern: after).isNaN)
                } else if before != after {
                    Issue.record("half \(before) became \(after)")
                }
            }
            // Rounding of what lies between, ties to even.
            let between = Tensor(normal: [5000], standardDeviation: 3, generator: RandomGenerator(seed: 2)).scalars(Float.self)
            #expect(Tensor(between).to(.float16).scalars(Float.self) == between.map { Float(Float16($0)) })
        }
    #endif

    @Test func brainFloats() {
        // Upper half of the float32, rounded to nearest even.
        let x: [Float] = [1, 1.00390625, 1.01171875, -3.3895314e38, 1e-40, .infinity]
        let expected = x.map { value -> Float in
            let bits = value.bitPattern
            return Float(bitPattern: value.isFinite ? (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000 : bits)
        }
        #expect(Tensor(x).to(.bfloat16).scalars(Float.self) == expected)
        #expect(Tensor([Float.nan]).to(.bfloat16).isNaN.item(Bool.self))
    }

    @Test func indexing() {
        let x = Tensor(arange: 24).reshaped(2, 3, 4)
        #expect(x[1, 2, 3].item(Int.self) == 23)
        #expect(x[-1, -1, -1].item(Int.self) == 23)
        #expect(x[0].shape == [3, 4])
        #expect(x[0..., 1].matrix(Int.self) == [[4, 5, 6, 7], [16, 17, 18, 19]])
        #expect(x[TensorIndex.ellipsis, 0].matrix(Int.self) == [[0, 4, 8], [12, 16, 20]])
        #expect(x[0, 1...2, ..<2].matrix(Int.self) == [[4, 5], [8, 9]])
        #expect(x[0, 0, TensorIndex.every(2)].scalars(Int.self) == [0, 2])
        #expect(x[TensorIndex.newAxis, 0, TensorIndex.all, 1..<100].shape == [1, 3, 3])
        #expect(x[0, 5..<9].shape == [0, 4])
        var y = x
        y[0] = Tensor(0)
        y[1, 0..., 1] += 100
        #expect(y.sum().item(Int.self) == (12..<24).reduce(0, +) + 300)
        #expect(x.sum().item(Int.self) == 276)
        y[0..., TensorIndex.every(2, from: 1)] = Tensor([1, 2, 3, 4])
        #expect(y[1, 1].scalars(Int.self) == [1, 2, 3, 4])
    }

    @Test func printing() {
        #expect("\(Tensor([[1.0, 2], [3, 4]]))" == "Tensor([[1., 2.],\n        [3., 4.]], shape: [2, 2], float32)")
        #expect("\(Tensor(2.5))" == "Tensor(2.5000, float32)")
        #expect("\(Tensor([true, false]))" == "Tensor([true, false], bool)")
        #expect("\(Tensor([-1, 10]))" == "Tensor([-1, 10], int64)")
        #expect("\(Tensor([1e-7, 1.0]))" == "Tensor([1.0000e-07, 1.0000e+00], float32)")
        #expect("\(Tensor([Double.nan, .infinity, -1]))" == "Tensor([nan, inf, -1.], float32)")
        #expect("\(Tensor(zeros: [0, 3]))" == "Tensor([], shape: [0, 3], float32)")
        let x = Tensor([1.0], requiresGrad: true)
        #expect("\(x)" == "Tensor([1.], float32, requiresGrad)")
        #expect("\(x * 2)" == "Tensor([2.], float32, gradFn: MulBackward)")
        let large = "\(Tensor(arange: 10_000).reshaped(100, 100))"
        #expect(large.contains("..."))
        #expect(large.contains("shape: [100, 100]"))
        #expect(large.count < 500)
    }

    @Test func reductionsOfNothing() {
        #expect(Tensor(zeros: [0]).sum().item(Float.self) == 0)
        #expect(Tensor(zeros: [0]).prod().item(Float.self) == 1)
        #expect(Tensor(zeros: [0]).mean().item(Float.self).isNaN)
        #expect(Tensor(zeros: [0], dtype: .bool).all().item(Bool.self))
        #expect(Tensor(zeros: [3, 0]).sum(1).scalars(Float.self) == [0, 0, 0])
    }

    @Test func notANumberPropagates() {
        let x = Tensor([1, Double.nan, 3])
        #expect(x.max().item(Float.self).isNaN)
        #expect(x.min().item(Float.self).isNaN)
        #expect(maximum(x, 2)[1].item(Float.self).isNaN)
        #expect(relu(x)[1].item(Float.self).isNaN)
        #expect(x.argmax().item(Int.self) == 1)
        #expect(x.clamped(min: 0, max: 2)[1].item(Float.self).isNaN)
        #expect(softmax(x).isNaN.all().item(Bool.self))
    }

    @Test func extremesShareTheGradientAmongTies() {
        let x = Tensor([2.0, 5, 5, 1], dtype: .float64, requiresGrad: true)
        x.max().backward()
        #expect(x.grad!.scalars(Double.self) == [0, 0.5, 0.5, 0])
    }

    /// Sums of many float32 numbers stay close to the float64 result.
    @Test func longSumsAreAccurate() {
        let x = Tensor(uniform: [1 << 20], generator: RandomGenerator(seed: 4))
        let exact = x.to(.float64).sum().item(Double.self)
        #expect(Swift.abs(x.sum().item(Double.self) - exact) / exact < 1e-6)
        #expect(Swift.abs(x.mean().item(Double.self) - exact / Double(1 << 20)) < 1e-7)
        let shifted = x + 1e4
        let deviation = shifted.to(.float64).standardDeviation().item(Double.self)
        #expect(Swift.abs(shifted.standardDeviation().item(Double.self) - deviation) / deviation < 1e-3)
    }

    @Test func memoryIsReused() {
        _ = Tensor(ones: [1 << 20]) + 1
        let before = MemoryStatistics.current
        for _ in 0..<20 { _ = Tensor(ones: [1 << 20]) + 1 }
        let after = MemoryStatistics.current
        #expect(after.systemAllocations - before.systemAllocations <= 2)
        #expect(after.allocations > before.allocations)
        #expect(after.peakBytesInUse >= after.bytesInUse)
    }

    @Test func configurationSaysWhatRuns() {
        let text = "\(Tapestry.configuration)"
        #expect(text.contains("Tapestry \(Configuration.version)"))
        #expect(text.contains("OpenBLAS"))
        #expect(text.contains("thread"))
        #expect(Tapestry.configuration.threads >= 1)
    }
}

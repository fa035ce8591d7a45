import CKernels
import Foundation
import Tapestry
import TestSupport
import Testing

/// Layers of convolution, pooling and normalisation: starting values, modes, wrappers.
@Suite struct ConvolutionLayerTests {
    private func close(_ a: Tensor, _ b: Tensor, _ tolerance: Double = 1e-5) -> Bool {
        a.isClose(to: b, rtol: tolerance, atol: tolerance)
    }

    @Test func startingValues() {
        let conv = Conv2d(8, 16, kernelSize: [3, 5], groups: 2)
        #expect(conv.weight.shape == [16, 4, 3, 5])
        let bound = 1 / Double(4 * 15).squareRoot()
        #expect(abs(conv.weight.value).max().item(Double.self) <= bound)
        #expect(abs(conv.weight.value).max().item(Double.self) > 0.9 * bound)
        #expect(abs(conv.bias!.value).max().item(Double.self) <= bound)
        #expect(ConvTranspose1d(6, 4, kernelSize: 3, groups: 2).weight.shape == [6, 2, 3])
    }

    /// Every kernel path agrees with the one in float64, which is columns and products.
    @Test(arguments: [2, 1, 0]) func instructionSets(_ level: Int) {
        defer { _ = tk_set_isa_level(-1) }
        if tk_set_isa_level(Int32(level)) != Int32(level) { return }
        let generator = RandomGenerator(seed: Double(level).bitPattern)
        for (x, w, stride, padding, dilation, groups) in [
            ([3, 20, 19, 21], [33, 20, 3, 3], 1, 1, 1, 1), ([2, 3, 40, 37], [24, 3, 7, 7], 2, 3, 1, 1),
            ([2, 64, 9, 9], [40, 64, 3, 3], 1, 2, 2, 1), ([2, 6, 30, 31], [12, 3, 5, 4], 3, 2, 1, 2),
            ([2, 7, 35, 33], [14, 1, 3, 3], 2, 1, 1, 7), ([1, 4, 50, 70], [4, 1, 5, 5], 1, 2, 1, 4),
            ([2, 30, 12, 12], [50, 30, 1, 1], 1, 0, 1, 1), ([2, 600, 5, 5], [8, 600, 1, 1], 1, 0, 1, 1),
            // Depthwise, with rows longer and shorter than a vector, odd heights, planes of one row
            ([3, 5, 19, 37], [5, 1, 3, 3], 1, 1, 1, 5), ([1, 3, 8, 5], [3, 1, 3, 3], 1, 2, 1, 3),
            ([2, 4, 3, 50], [4, 1, 3, 3], 1, 0, 1, 4),
            // Planes in which taps are offsets: steps and dilations that differ, outputs cut into blocks, few outputs
            ([2, 4, 20, 23], [9, 4, 3, 4], 2, 1, 3, 1), ([3, 1, 28, 28], [32, 1, 5, 5], 1, 0, 1, 1),
            ([1, 3, 90, 80], [20, 3, 7, 3], 2, 3, 1, 1), ([4, 6, 6, 5], [2, 3, 2, 5], 4, 2, 1, 2),
            // Planes of a column of taps each: many outputs, wide dilations, steps of 2 and 3, rows of one output
            ([3, 6, 14, 14], [16, 6, 5, 5], 1, 0, 1, 1), ([2, 2, 40, 40], [40, 2, 7, 7], 1, 1, 3, 1),
            ([2, 2, 33, 21], [30, 2, 5, 5], 2, 4, 2, 1), ([2, 3, 20, 20], [50, 3, 7, 7], 3, 2, 1, 1),
            ([2, 2, 40, 5], [34, 1, 5, 5], 1, 0, 1, 2), ([1, 1, 12, 80], [48, 1, 7, 20], 1, 0, 1, 1),
            // Winograd's tiles: many, few, planes smaller than a tile, odd channels, groups, padding of 0 and 2
            ([11, 19, 17, 14], [37, 19, 3, 3], 1, 0, 1, 1), ([5, 16, 3, 2], [70, 16, 3, 3], 1, 2, 1, 1),
            ([1, 33, 18, 1], [17, 33, 3, 3], 1, 1, 1, 1), ([3, 40, 13, 21], [64, 20, 3, 3], 1, 1, 1, 2),
            ([1, 70, 4, 5], [80, 70, 3, 3], 1, 1, 1, 1),
        ] {
            let a = Tensor(normal: x, dtype: .float64, generator: generator).asLeaf()
            let b = Tensor(normal: w, standardDeviation: 0.2, dtype: .float64, generator: generator).asLeaf()
            let c = Tensor(normal: [w[0]], dtype: .float64, generator: generator).asLeaf()
            func run(_ type: DType) -> [Tensor] {
                let leaves = [a, b, c].map { $0.detached().to(type).asLeaf() }
                let y = conv2d(
                    leaves[0], leaves[1], leaves[2], stride: SpatialSizes(stride), padding: .sizes(SpatialSizes(padding)),
                    dilation: SpatialSizes(dilation), groups: groups)
                let g = Tensor(normal: y.shape, dtype: .float64, generator: RandomGenerator(seed: 9)).to(type)
                return [y] + gradients(of: [y], withRespectTo: leaves, gradients: [g]).map { $0! }
            }
            for (single, double) in zip(run(.float32), run(.float64)) {
                #expect(close(single.to(.float64), double, 2e-4), "\(x) \(w)")
            }
        }
    }

    /// The same bits for one thread and for several.
    @Test func threads() {
        let x = Tensor(normal: [3, 16, 20, 20]), w = Tensor(normal: [24, 16, 3, 3])
        let d = Tensor(normal: [16, 1, 3, 3]), scale = Tensor(normal: [16]), e = Tensor(normal: [16, 16, 3, 3])
        func run() -> [Tensor] {
            let leaves = [x, w, d, scale, e].map { $0.asLeaf() }
            let h = batchNormWithStatistics(conv2d(leaves[0], leaves[2], padding: 1, groups: 16), weight: leaves[3]).output
            let pooled = maxPool2d(conv2d(h, leaves[4], padding: 1), kernelSize: 3, stride: 2, padding: 1)
            let y = conv2d(pooled, leaves[1], stride: 2, padding: 1)
            return [y] + gradients(of: [y], withRespectTo: leaves, gradients: [Tensor(onesLike: y)]).map { $0! }
        }
        let before = Configuration.threadCount
        defer { Configuration.threadCount = before }
        Configuration.threadCount = 1
        let one = run()
        Configuration.threadCount = 3
        let three = run()
        for (a, b) in zip(one, three) { #expect(a.isEqual(to: b)) }
    }

    @Test func batchNormModes() {
        let norm = BatchNorm2d(3), x = Tensor(normal: [4, 3, 5, 5], mean: 2, standardDeviation: 3)
        _ = norm(x)
        #expect(close(norm.runningMean!.value, x.mean([0, 2, 3]) * 0.1))
        #expect(close(norm.runningVariance!.value, x.variance([0, 2, 3]) * 0.1 + 0.9))
        #expect(norm.batchesTracked!.value.item(Int.self) == 1)
        norm.eval()
        let before = norm.runningMean!.value
        _ = norm(x)
        #expect(norm.runningMean!.value.isEqual(to: before))
        let cumulative = BatchNorm2d(3, momentum: nil)
        for k in 1...3 { _ = cumulative(x * Double(k)) }
        #expect(close(cumulative.runningMean!.value, x.mean([0, 2, 3]) * 2))
        cumulative.resetRunningStatistics()
        #expect(cumulative.runningMean!.value.isEqual(to: Tensor(zeros: [3])))
    }

    @Test func foldedBatchNorm() {
        let conv = Conv2d(3, 6, kernelSize: 3, padding: 1), norm = BatchNorm2d(6)
        for _ in 0..<3 { _ = norm(conv(Tensor(normal: [4, 3, 6, 6]))) }
        norm.eval()
        let x = Tensor(normal: [2, 3, 6, 6])
        #expect(close(conv.folding(norm)(x), norm(conv(x)), 1e-4))
    }

    @Test func weightNorm() {
        let layer = WeightNorm(Linear(4, 3))
        #expect(layer.namedParameters.map(\.name) == ["magnitude", "direction", "bias"])
        let x = Tensor(normal: [2, 4])
        #expect(close(layer(x), layer.layer(x)))
        layer.magnitude.value = layer.magnitude.value * 2
        #expect(close(sqrt(square(layer.weight).sum(1)), layer.magnitude.value.flattened()))
        layer(x).sum().backward()
        // The length does not depend on the direction's length: its gradient is at right angles to it.
        #expect(abs((layer.direction.grad! * layer.direction.value).sum(1)).max().item(Double.self) < 1e-4)
        let whole = WeightNorm(Conv1d(2, 3, kernelSize: 2), axis: nil)
        #expect(whole.magnitude.shape == [])
    }

    @Test func spectralNorm() {
        let layer = SpectralNorm(ConvTranspose2d(3, 5, kernelSize: 2), generator: RandomGenerator(seed: 3))
        #expect(Set(layer.namedParameters.map(\.name)) == ["original", "bias"])
        #expect(Set(layer.namedBuffers.map(\.name)) == ["left", "right"])
        for _ in 0..<200 { _ = layer.weight }
        layer.eval()
        // Its largest singular value is 1: no vector grows, and one keeps its length.
        let w = layer.weight.transposed(0, 1).reshaped([5, 12])
        let image = matmul(w, layer.right.value)
        #expect(Swift.abs(sqrt(square(image).sum()).item(Double.self) - 1) < 1e-3)
        for _ in 0..<20 {
            let v = Tensor(normal: [12])
            #expect(sqrt(square(matmul(w, v)).sum() / square(v).sum()).item(Double.self) <= 1 + 1e-4)
        }
        #expect(layer(Tensor(normal: [1, 3, 4, 4])).shape == [1, 5, 5, 5])
    }

    @Test func poolingEdges() {
        let x = Tensor([[[1.0, .nan, 3, -.infinity, -.infinity, -.infinity]]])
        let (y, at) = maxPoolWithIndices(x, rank: 1, kernelSize: 3)
        #expect(y.scalars(Double.self)[0].isNaN && at.scalars(Int.self) == [1, 3])
        #expect(y.scalars(Double.self)[1] == -.infinity)
        let wide = Tensor(normal: [2, 3, 11, 40])
        let (values, places) = maxPoolWithIndices(wide, rank: 2, kernelSize: 2)
        let back = maxUnpool(values, indices: places, outputSize: [11, 40])
        #expect(maxPool2d(back, kernelSize: 2).shape == values.shape)
        #expect(close(back.sum(), values.sum(), 1e-4))
        #expect(avgPool1d(Tensor([[[1, 2, -4, -5]]]), kernelSize: 2).scalars(Int.self) == [1, -4])
        #expect(avgPool1d(Tensor(ones: [1, 1, 4]), kernelSize: 3, stride: 2, ceilMode: true).shape == [1, 1, 2])
    }

    /// One example's gradient at a time, by vmap.
    @Test func perExampleGradients() {
        let x = Tensor(normal: [4, 3, 6, 6], dtype: .float64), w = Tensor(normal: [5, 3, 3, 3], dtype: .float64)
        func loss(_ w: Tensor, _ x: Tensor) -> Tensor { square(maxPool2d(conv2d(x, w, padding: 1), kernelSize: 2)).sum() }
        let each = vmap({ w, x in grad(of: { loss($0, x) })(w) }, inAxes: (0, 0))
        let together = each(w.expanded(to: [4] + w.shape), x)
        for i in 0..<4 {
            let leaf = w.asLeaf()
            let one = gradients(of: [loss(leaf, x[i])], withRespectTo: [leaf])[0]!
            #expect(close(together[i], one, 1e-9))
        }
        // Both ways to the Jacobian: batched tangents and batched cotangents.
        func f(_ x: Tensor) -> Tensor {
            let y = groupNorm(conv2d(x, w, stride: 2), groups: 5)
            return interpolate(
                avgPool2d(y.padded([1, 1, 1, 1], mode: .replicate), kernelSize: 2), size: [3, 2], mode: .bilinear)
        }
        #expect(close(jacrev(of: f)(x[0..<1]), jacfwd(of: f)(x[0..<1]), 1e-9))
    }
}

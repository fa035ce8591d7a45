import Tapestry

extension Workloads {
    /// Sizes as in the PyTorch script: samples, channels, height and width, outputs, kernel, stride, padding, groups, bias, and whether
    /// the backward pass has a gradient of the input.
    private struct ConvolutionCase {
        let name: String
        let shape: [Int]
        let outputs, kernel, stride, padding, groups: Int
        let bias, inputGradient: Bool
    }

    private static let convolutionCases = [
        ConvolutionCase(
            name: "stem7x7", shape: [32, 3, 224, 224], outputs: 64, kernel: 7, stride: 2, padding: 3, groups: 1, bias: false,
            inputGradient: false),
        ConvolutionCase(
            name: "c64_56", shape: [32, 64, 56, 56], outputs: 64, kernel: 3, stride: 1, padding: 1, groups: 1, bias: false,
            inputGradient: true),
        ConvolutionCase(
            name: "c256_14", shape: [32, 256, 14, 14], outputs: 256, kernel: 3, stride: 1, padding: 1, groups: 1, bias: false,
            inputGradient: true),
        ConvolutionCase(
            name: "mnist5x5", shape: [128, 1, 28, 28], outputs: 32, kernel: 5, stride: 1, padding: 0, groups: 1, bias: true,
            inputGradient: false),
        ConvolutionCase(
            name: "dw128_56", shape: [32, 128, 56, 56], outputs: 128, kernel: 3, stride: 1, padding: 1, groups: 128, bias: false,
            inputGradient: true),
    ]

    /// `channelsLast`: the input lies in memory as [samples, height, width, channels].
    private static func convolution(_ c: ConvolutionCase, backward: Bool, channelsLast: Bool = false) -> Workload {
        Workload("conv", "conv_\(c.name)\(channelsLast ? "_cl" : "")_\(backward ? "fwdbwd" : "fwd")") {
            var x = normal(c.shape)
            if channelsLast { x = x.permuted(0, 2, 3, 1).contiguous().permuted(0, 3, 1, 2) }
            x.requiresGrad = backward && c.inputGradient
            let weightShape = [c.outputs, c.shape[1] / c.groups, c.kernel, c.kernel]
            var w = Tensor(normal: weightShape, standardDeviation: 0.05)
            var b: Tensor? = c.bias ? normal(c.outputs) : nil
            if backward {
                w.requiresGrad = true
                b?.requiresGrad = true
            }
            let stride = SpatialSizes(c.stride), padding = ConvolutionPadding.sizes(SpatialSizes(c.padding)), groups = c.groups
            func forward() -> Tensor { conv2d(x, w, b, stride: stride, padding: padding, groups: groups) }
            let out = withoutGrad { forward() }.shape
            let g = normal(out)
            let flops = 2 * Double(out.reduce(1, *) * weightShape[1...].reduce(1, *))
            return Timed(
                shape: "x\(c.shape) w\(weightShape) s\(c.stride) p\(c.padding) g\(c.groups) -> \(out)",
                flops: flops * (backward ? (c.inputGradient ? 3 : 2) : 1)
            ) {
                if !backward {
                    use(forward())
                    return
                }
                for leaf in [x, w, b] { if let leaf, leaf.requiresGrad { leaf.grad = nil } }
                forward().backward(gradient: g)
            }
        }
    }

    /// An operation on x, bound by memory; `bytes` are those per element of x.
    private static func image(
        _ name: String, _ shape: [Int], forward: Double, backward: Double, _ f: @escaping (Tensor, Tensor, Tensor) -> Tensor
    ) -> [Workload] {
        [false, true].map { isTraining in
            Workload("conv", "\(name)_\(isTraining ? "fwdbwd" : "fwd")") {
                let x = normal(shape, grad: isTraining)
                let w = normal(shape[1], grad: isTraining), b = normal(shape[1], grad: isTraining)
                let g = normal(withoutGrad { f(x, w, b) }.shape)
                return Timed(shape: "\(shape)", bytes: Double(x.count) * (forward + (isTraining ? backward : 0))) {
                    if !isTraining {
                        use(f(x, w, b))
                        return
                    }
                    for leaf in [x, w, b] where leaf.requiresGrad { leaf.grad = nil }
                    f(x, w, b).backward(gradient: g)
                }
            }
        }
    }

    static let convolutions: [Workload] =
        convolutionCases.flatMap { [convolution($0, backward: false), convolution($0, backward: true)] }
        + convolutionCases.filter { ["c64_56", "c256_14", "dw128_56"].contains($0.name) }.flatMap {
            [convolution($0, backward: false, channelsLast: true), convolution($0, backward: true, channelsLast: true)]
        }
        + image("bn_relu", [32, 64, 56, 56], forward: 12, backward: 20) { x, w, b in
            batchNormWithStatistics(x, weight: w, bias: b, activation: .relu).output
        }
        + image("bn", [32, 64, 56, 56], forward: 12, backward: 20) { x, w, b in
            batchNormWithStatistics(x, weight: w, bias: b).output
        }
        + image("group_norm32", [32, 64, 56, 56], forward: 12, backward: 20) { x, w, b in
            groupNorm(x, groups: 32, weight: w, bias: b)
        }
        + image("maxpool2", [32, 64, 112, 112], forward: 5, backward: 5) { x, _, _ in maxPool2d(x, kernelSize: 2) }
        + image("maxpool3s2", [32, 64, 112, 112], forward: 5, backward: 5) { x, _, _ in
            maxPool2d(x, kernelSize: 3, stride: 2, padding: 1)
        }
        + image("avgpool2", [32, 64, 112, 112], forward: 5, backward: 5) { x, _, _ in avgPool2d(x, kernelSize: 2) }
        + image("globalpool", [32, 64, 112, 112], forward: 4, backward: 4) { x, _, _ in adaptiveAvgPool2d(x, outputSize: 1) }
        + image("upsample2_bilinear", [32, 64, 56, 56], forward: 20, backward: 20) { x, _, _ in
            interpolate(x, scaleFactor: [2], mode: .bilinear)
        }
}

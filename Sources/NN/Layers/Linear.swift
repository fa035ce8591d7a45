import CoreTensor

/// `x · weightᵀ + bias`: `[..., inputs]` gives `[..., outputs]`.
///
/// Weight `[outputs, inputs]` and bias start uniform in ±1/√inputs (PyTorch's default).
public final class Linear: Module, Layer {
    /// `[outputs, inputs]`.
    public let weight: Parameter
    /// `[outputs]`, or nil if the layer has none.
    public let bias: Parameter?

    /// What computes in place of weight and bias, if anything: a quantised form of them, for inference. It is part of the state.
    @exclusivity(unchecked) public var replacement: (any Layer)?

    /// Weight and bias uniform in ±1/√inputs; without `bias` there is none. Traps on negative sizes.
    public init(
        _ inputs: Int, _ outputs: Int, bias: Bool = true, dtype: DType = .float32, generator: RandomGenerator = .default
    ) {
        if inputs < 0 || outputs < 0 { fail("Linear", "\(inputs) inputs and \(outputs) outputs") }
        let bound = inputs > 0 ? 1 / Double(inputs).squareRoot() : 0
        weight = Parameter(
            Tensor(uniform: [outputs, inputs], low: -bound, high: bound, dtype: dtype, generator: generator))
        self.bias =
            bias ? Parameter(Tensor(uniform: [outputs], low: -bound, high: bound, dtype: dtype, generator: generator)) : nil
    }

    /// A layer with the given parameters, perhaps shared with another layer.
    public init(weight: Parameter, bias: Parameter? = nil) {
        self.weight = weight
        self.bias = bias
    }

    /// `x · weightᵀ + bias`: `[..., inputs]` gives `[..., outputs]`.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        if let replacement { return replacement(x) }
        return linear(x, weight.value, bias?.value)
    }

    /// Weight and bias, or the replacement's, where they are dense and of type `dtype`.
    public func linearPlan(for dtype: DType) -> LinearPlan? {
        if let replacement { return replacement.linearPlan(for: dtype) }
        let weight = weight.value.raw, bias = bias?.value.raw
        if weight.dtype != dtype || !weight.isContiguous || bias.map({ $0.dtype != dtype || !$0.isContiguous }) == true {
            return nil
        }
        return LinearPlan(weight: .dense(weight), bias: bias)
    }
}

import CoreTensor

/// aᵀ · weight[o] · b + bias[o]: `a [..., m]` and `b [..., n]` give `[..., outputs]`.
///
/// Weight `[outputs, m, n]` and bias start uniform in ±1/√m, as PyTorch's.
public final class Bilinear: Module {
    /// `[outputs, m, n]`.
    public let weight: Parameter
    /// `[outputs]`, or nil if the layer has none.
    public let bias: Parameter?

    /// Weight and bias uniform in ±1/√m. Traps on sizes below 1.
    public init(
        _ m: Int, _ n: Int, _ outputs: Int, bias: Bool = true, dtype: DType = .float32, generator: RandomGenerator = .default
    ) {
        if m < 1 || n < 0 || outputs < 0 { fail("Bilinear", "\(m) and \(n) inputs, \(outputs) outputs") }
        let bound = 1 / Double(m).squareRoot()
        weight = Parameter(
            Tensor(uniform: [outputs, m, n], low: -bound, high: bound, dtype: dtype, generator: generator))
        self.bias =
            bias ? Parameter(Tensor(uniform: [outputs], low: -bound, high: bound, dtype: dtype, generator: generator)) : nil
    }

    /// `[..., outputs]` of `a [..., m]` and `b [..., n]`.
    public func callAsFunction(_ a: Tensor, _ b: Tensor) -> Tensor { bilinear(a, b, weight.value, bias?.value) }
}

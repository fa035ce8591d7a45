import COpenBLAS
import CoreTensor

/// Starting values for weights `[outputs, inputs, ...]` (PyTorch's `nn.init`).
public enum Initializers {
    /// Inputs and outputs of a weight: the second and the first axis times the rest.
    static func fans(_ operation: String, _ shape: Shape) -> (inputs: Int, outputs: Int) {
        if shape.count < 2 { fail(operation, "a weight needs two axes, not \(shape)") }
        let field = shape.dropFirst(2).reduce(1, *)
        return (shape[1] * field, shape[0] * field)
    }

    /// Uniform with variance 2 gain² / (inputs + outputs) (Glorot and Bengio, 2010).
    public static func xavierUniform(
        _ shape: Shape, gain: Double = 1, dtype: DType = .float32, generator: RandomGenerator = .default
    ) -> Tensor {
        let (inputs, outputs) = fans("xavierUniform", shape)
        let bound = gain * (6 / Double(inputs + outputs)).squareRoot()
        return Tensor(uniform: shape, low: -bound, high: bound, dtype: dtype, generator: generator)
    }

    /// Normal with variance 2 gain² / (inputs + outputs) (Glorot and Bengio, 2010).
    public static func xavierNormal(
        _ shape: Shape, gain: Double = 1, dtype: DType = .float32, generator: RandomGenerator = .default
    ) -> Tensor {
        let (inputs, outputs) = fans("xavierNormal", shape)
        return Tensor(
            normal: shape, standardDeviation: gain * (2 / Double(inputs + outputs)).squareRoot(), dtype: dtype,
            generator: generator)
    }

    /// Uniform with variance gain² / inputs; gain √2 for ReLU (He et al., 2015).
    public static func heUniform(
        _ shape: Shape, gain: Double = 2.0.squareRoot(), dtype: DType = .float32, generator: RandomGenerator = .default
    ) -> Tensor {
        let bound = gain * (3 / Double(fans("heUniform", shape).inputs)).squareRoot()
        return Tensor(uniform: shape, low: -bound, high: bound, dtype: dtype, generator: generator)
    }

    /// Normal with variance gain² / inputs; gain √2 for ReLU (He et al., 2015).
    public static func heNormal(
        _ shape: Shape, gain: Double = 2.0.squareRoot(), dtype: DType = .float32, generator: RandomGenerator = .default
    ) -> Tensor {
        let deviation = gain / Double(fans("heNormal", shape).inputs).squareRoot()
        return Tensor(normal: shape, standardDeviation: deviation, dtype: dtype, generator: generator)
    }

    /// Normal, redrawn outside `mean ± bound · standardDeviation`.
    public static func truncatedNormal(
        _ shape: Shape, mean: Double = 0, standardDeviation: Double = 1, bound: Double = 2, dtype: DType = .float32,
        generator: RandomGenerator = .default
    ) -> Tensor {
        if !(bound > 0.1) { fail("truncatedNormal", "a bound of \(bound) standard deviations leaves too little to draw from") }
        var z = Tensor(normal: shape, dtype: dtype, generator: generator)
        while true {
            let outside = abs(z) .> bound
            if !outside.any().item(Bool.self) { return z * standardDeviation + mean }
            z = which(outside, Tensor(normal: shape, dtype: dtype, generator: generator), z)
        }
    }

    /// Orthonormal rows or columns, whichever are fewer, times gain (Saxe et al., 2014).
    public static func orthogonal(
        _ shape: Shape, gain: Double = 1, dtype: DType = .float32, generator: RandomGenerator = .default
    ) -> Tensor {
        if shape.count < 2 { fail("orthogonal", "a weight needs two axes, not \(shape)") }
        let rows = shape[0], columns = shape.dropFirst().reduce(1, *)
        let tall = max(rows, columns), thin = min(rows, columns)
        if thin == 0 { return Tensor(zeros: shape, dtype: dtype) }
        var a = Tensor(normal: [tall, thin], dtype: .float64, generator: generator)
        var signs = [Double](repeating: 1, count: thin)
        a.withUnsafeMutableBytes { bytes in
            let p = bytes.bindMemory(to: Double.self).baseAddress!
            var tau = [Double](repeating: 0, count: thin)
            let n = Int32(thin)
            // Q of A = QR; the signs of R's diagonal make the distribution uniform (Mezzadri, 2007).
            LAPACKE_dgeqrf(LAPACK_ROW_MAJOR, Int32(tall), n, p, n, &tau)
            for i in 0..<thin { signs[i] = p[i * thin + i] < 0 ? -1 : 1 }
            LAPACKE_dorgqr(LAPACK_ROW_MAJOR, Int32(tall), n, n, p, n, &tau)
        }
        let q = a * Tensor(signs, shape: [thin], dtype: .float64)
        return ((rows < columns ? q.T : q) * gain).to(dtype).reshaped(shape).contiguous()
    }
}

import CKernels
import ConformanceSuite
import Tapestry
import TestSupport
import Testing

/// Products at sizes around the kernels' tiles and blocks, against the same product in float64.
@Suite struct MatMulTests {
    private static let sizes: [[Int]] = [
        [1, 40, 30], [4, 8, 8], [13, 31, 70], [14, 32, 64], [15, 33, 65], [28, 64, 100], [29, 100, 801], [64, 63, 1601],
        [169, 200, 40],
        [337, 65, 90], [700, 40, 33], [40, 700, 33], [100, 1, 500], [90, 10, 5000], [200, 300, 256],
    ]

    @Test(arguments: sizes) func againstDouble(_ size: [Int]) {
        let (m, n, k) = (size[0], size[1], size[2])
        let generator = RandomGenerator(seed: UInt64(m * n + k))
        // Errors grow with √k; entries are of size √k too.
        let tolerance = Tolerance(relative: 1e-5, absolute: 1e-5 * Double(k).squareRoot())
        let a = Tensor(normal: [m, k], generator: generator), b = Tensor(normal: [k, n], generator: generator)
        let expected = matmul(a.to(.float64), b.to(.float64))
        let at = a.T.contiguous().T, bt = b.T.contiguous().T
        for (x, y) in [(a, b), (at, b), (a, bt), (at, bt)] {
            let wrong = mismatch(matmul(x, y), expected, tolerance, anyType: true)
            #expect(wrong == nil, "\(size), strides \(x.strides) \(y.strides): \(wrong ?? "")")
        }
        let bias = Tensor(normal: [n], generator: generator)
        let wrong = mismatch(linear(a, b.T, bias), expected + bias.to(.float64), tolerance, anyType: true)
        #expect(wrong == nil, "\(size) with bias: \(wrong ?? "")")
        // A part of larger matrices: rows further apart than they are long.
        let wide = concatenate([a, a], axis: 1)[0..., ..<k]
        #expect(matmul(wide, b).isEqual(to: matmul(a, b)))
    }

    /// Products whose result goes past the caches (large, of a transposed matrix with few rows), and the same in parts that do not.
    @Test func streamed() {
        let generator = RandomGenerator(seed: 61)
        for (m, n, k) in [(1100, 1008, 70), (1031, 1040, 9), (1100, 1001, 40), (700, 1600, 801)] {
            let a = Tensor(normal: [k, m], generator: generator), b = Tensor(normal: [k, n], generator: generator)
            let product = matmul(a.T, b)
            let parts = [0..<300, 300..<m].map { matmul(a.T[$0], b) }
            #expect(product.isEqual(to: concatenate(parts)), "\([m, n, k])")
            let wrong = mismatch(
                product, matmul(a.T.to(.float64), b.to(.float64)), Tolerance(relative: 1e-5, absolute: 1e-4), anyType: true)
            #expect(wrong == nil, "\([m, n, k]): \(wrong ?? "")")
        }
    }

    @Test func batches() {
        let generator = RandomGenerator(seed: 51)
        let a = Tensor(normal: [3, 1, 40, 50], generator: generator), b = Tensor(normal: [4, 50, 60], generator: generator)
        let product = matmul(a, b)
        #expect(product.shape == [3, 4, 40, 60])
        for i in 0..<3 {
            for j in 0..<4 {
                let wrong = mismatch(product[i, j], matmul(a[i, 0], b[j]), Tolerance(relative: 1e-5, absolute: 1e-4))
                #expect(wrong == nil, "\(wrong ?? "")")
            }
        }
    }

    /// A NaN or an infinity shows where it should and nowhere else.
    @Test func specialValues() {
        var a = Tensor(ones: [40, 50])
        a[7, 3] = Tensor(Double.nan)
        a[9, 4] = Tensor(Double.infinity)
        let product = matmul(a, Tensor(ones: [50, 40]))
        #expect(product.isNaN.any(1).to(.int64).sum().item(Int.self) == 1)
        #expect(product[7].isNaN.all().item(Bool.self))
        #expect(product[9].isInfinite.all().item(Bool.self))
        #expect(product[8].scalars(Float.self) == [Float](repeating: 50, count: 40))
    }
}

import CUDAEmulator
import ConformanceSuite
import Foundation
import Tapestry
import Testing

@testable import CUDABackend

extension CUDATests {
    /// Operations of one kernel or several at sizes and values that the catalogue does not have, against the CPU.
    @Suite struct Operations {
        private let generator = RandomGenerator(seed: 33)
        private func draw(_ shape: [Int], _ type: DType = .float32) -> Tensor {
            let x = Tensor(uniform: shape, low: -2, high: 2, dtype: .float64, generator: generator)
            return type.isComplex
                ? complex(real: x, imaginary: draw(shape, .float64)).to(type) : (type.isInteger ? x * 4 : x).to(type)
        }

        @Test(arguments: [DType.float32, .float64, .float16]) func specialFunctions(_ type: DType) {
            let numbers: [Double] = [
                -60, -12, -3.5, -2, -1, -0.99, -0.5, -0.1, -1e-3, 0, 1e-3, 0.2, 0.24, 0.3, 0.5, 0.75, 0.97, 1, 1.5, 2, 5, 11.9,
                12.1,
                29, 31, 60, .infinity, -.infinity, .nan,
            ]
            let x = Tensor(numbers, shape: [numbers.count], dtype: .float64).to(type)
            let functions: [(String, (Tensor) -> Tensor)] = [
                ("digamma", digamma), ("erfinv", erfinv), ("erfcx", erfcx), ("i0e", i0e), ("i1e", i1e), ("i0", { i0($0 / 4) }),
                ("i1", { i1($0 / 4) }), ("ndtri", ndtri), ("logNdtr", logNdtr),
                ("zeta", { zeta(Tensor(2.5, dtype: $0.dtype, device: $0.device), $0) }),
                ("zeta of both", { zeta(abs($0) + 1.25, abs($0.flipped([0])) + 0.5) }), ("lgamma", lgamma), ("sinc", sinc),
            ]
            for (name, f) in functions { Emulated.same({ f($0[0]) }, [x], nil, "\(name) of \(type)") }
        }

        @Test(arguments: [DType.complex64, .complex128]) func complexFunctions(_ type: DType) {
            let axis: [Double] = [-40, -1.5, -1, -0.7, -1e-3, 0, 1e-4, 0.6, 1, 1.2, 30]
            let re = Tensor(axis, shape: [axis.count, 1], dtype: .float64),
                im = Tensor(axis, shape: [axis.count], dtype: .float64)
            let away = complex(real: re + 0.013, imaginary: im + 0.021).to(type)
            let functions: [(String, (Tensor) -> Tensor)] = [
                ("sqrt", sqrt), ("square", square), ("exp", exp), ("expm1", expm1), ("sin", { sin($0 / 4) }),
                ("cos", { cos($0 / 4) }), ("tan", { tan($0 / 4) }), ("asin", asin), ("acos", acos), ("atan", { atan($0) }),
                ("sinh", { sinh($0 / 4) }), ("cosh", { cosh($0 / 4) }), ("tanh", { tanh($0 / 4) }), ("asinh", asinh),
                ("acosh", acosh), ("atanh", { atanh($0) }), ("abs", abs), ("sign", sign), ("sigmoid", { sigmoid($0 / 8) }),
            ]
            for (name, f) in functions { Emulated.same({ f($0[0]) }, [away], nil, "\(name) of \(type)") }
            for (name, f) in [("log", log), ("log1p", log1p), ("log2", log2), ("reciprocal", reciprocal), ("rsqrt", rsqrt)] {
                Emulated.same({ f($0[0]) }, [away], nil, "\(name) of \(type)")
            }
            let a = draw([7, 1], type), b = draw([5], type)
            for (name, f) in [
                ("+", { $0 + $1 }), ("-", { $0 - $1 }), ("*", { $0 * $1 }), ("/", { $0 / $1 }), ("pow", { pow($0, $1) }),
            ]
                as [(String, (Tensor, Tensor) -> Tensor)]
            {
                Emulated.same({ f($0[0], $0[1]) }, [a, b], nil, "\(name) of \(type)")
            }
            Emulated.same({ ($0[0] .== $0[1]) }, [a, a.expanded(to: [7, 3])], .exact, "equality")
            Emulated.same({ $0[0].prod([1]) }, [draw([3, 40], type)], nil, "products")
            Emulated.same(
                { $0[0].scatterAdded(axis: 1, index: $0[1], source: $0[2]) },
                [draw([3, 4], type), Tensor(integers: 0..<4, shape: [3, 90], generator: generator), draw([3, 90], type)], nil,
                "scattering")
        }

        @Test(arguments: Emulated.orders) func scans(_ order: Int) {
            Emulated.ordered(order) {
                for (shape, axis) in [([1], 0), ([9000], 0), ([2, 700, 3], 1), ([3, 130], 1), ([40, 70], 0), ([0, 3], 0)] {
                    for type in [DType.float32, .float64, .float16, .int8, .uint8, .int32, .int64, .complex64] {
                        let x = type == .float16 ? draw(shape, type) / 16 : draw(shape, type), what = "\(type) \(shape)"
                        Emulated.same({ $0[0].cumsum(axis: axis) }, [x], nil, "running sums of \(what)")
                        if type.isComplex { continue }
                        Emulated.same({ $0[0].cummax(axis: axis).values }, [x], .exact, "running maxima of \(what)")
                        Emulated.same({ $0[0].cummin(axis: axis).indices }, [x], .exact, "places of minima of \(what)")
                    }
                    Emulated.same({ ($0[0] / 2).cumprod(axis: axis) }, [draw(shape)], nil, "running products of \(shape)")
                    Emulated.same({ $0[0].logCumsumExp(axis: axis) }, [draw(shape)], nil, "running log-sums of \(shape)")
                }
                let holes = Tensor([-Float.infinity, -.infinity, 2, 1, .infinity, 3, .nan, 5], shape: [8])
                Emulated.same({ $0[0].logCumsumExp(axis: 0) }, [holes], nil, "log-sums with infinities")
                Emulated.same({ $0[0].cummax(axis: 0).values }, [holes], nil, "maxima with a NaN")
                Emulated.same({ $0[0].cummin(axis: 0).indices }, [holes], .exact, "places with a NaN")
            }
        }

        @Test(arguments: Emulated.orders) func sorting(_ order: Int) {
            Emulated.ordered(order) {
                for n in [1, 2, 31, 1024, 1025, 2500] {
                    let x = round(draw([2, n]) * 20)
                    Emulated.same({ $0[0].argsort(axis: 1) }, [x], .exact, "the order of \(n)")
                    Emulated.same({ $0[0].argsort(axis: 1, descending: true) }, [x], .exact, "the descending order of \(n)")
                }
                Emulated.same({ $0[0].argsort(axis: 0) }, [draw([70, 5], .int8)], .exact, "columns")
                let rows = round(draw([50, 3]) * 0.7)
                Emulated.same({ $0[0].unique(axis: 0).values }, [rows], .exact, "different rows")
            }
        }

        @Test(arguments: Emulated.orders) func positions(_ order: Int) {
            Emulated.ordered(order) {
                for n in [0, 1, 31, 33, 1024, 1025, 5000] {
                    Emulated.same({ ($0[0] .> 0.7).nonzero() }, [draw([n])], .exact, "places among \(n)")
                }
            }
        }

        /// Many elements to one place: in the order of the elements, whatever the order of the threads.
        @Test(arguments: Emulated.orders) func scattering(_ order: Int) {
            Emulated.ordered(order) {
                for (rows, width, count) in [(5, 7, 300), (1, 33, 40), (2000, 3, 10), (4, 260, 9)] {
                    let ids = Tensor(integers: 0..<rows, shape: [count], generator: generator)
                    for type in [DType.float32, .float64, .bfloat16] {
                        Emulated.same(
                            { a in
                                let table = Tensor(zeros: [rows, width], dtype: type, device: a[0].device, requiresGrad: true)
                                let y = embedding(a[0], table)
                                (y * a[1]).sum().backward()
                                return table.grad!
                            }, [ids, draw([count, width], type)],
                            type == .bfloat16 ? Tolerance(relative: 2e-2, absolute: 0.1) : nil,
                            "\(count) rows of \(type) into \(rows)")
                    }
                }
                for shape in [[400], [3, 200], [70, 70, 2]] {
                    let axis = shape.count - 1, n = shape[axis]
                    let index = Tensor(integers: 0..<n, shape: shape, generator: generator), x = draw(shape)
                    for reduction in [ScatterReduction.sum, .prod, .max, .min] {
                        Emulated.same(
                            { $0[0].scatterReduced(axis: axis, index: $0[1], source: $0[2], reduction) },
                            [draw(shape), index, x],
                            Tolerance(relative: 1e-4, absolute: 1e-5), "\(reduction) of \(shape)")
                    }
                }
                Emulated.same(
                    { a in
                        let x = a[0].asLeaf()
                        maxPool2d(x, kernelSize: 3, stride: 1).sum().backward()
                        return x.grad!
                    }, [draw([3, 3, 9, 8])], .exact, "the gradient of overlapping windows")
            }
        }

        @Test(arguments: [DType.complex64, .complex128]) func fourierTransforms(_ type: DType) {
            for n in [1, 2, 8, 17, 30, 34, 64, 101, 169] {
                let z = draw([2, n, 3], type), tolerance = type == .complex64 ? Tolerance(relative: 1e-4, absolute: 1e-4) : nil
                Emulated.same({ FFT.fft($0[0], axis: 1) }, [z], tolerance, "\(n) points")
                Emulated.same({ FFT.ifft($0[0], axis: 1, norm: .ortho) }, [z], tolerance, "\(n) points back")
            }
            Emulated.same({ FFT.stft($0[0], fftLength: 16, hop: 5) }, [draw([2, 60], type.real)], nil, "short spectra")
        }

        @Test func sequencesOfLabels() {
            let scores = draw([9, 4, 5]), targets = Tensor([1, 1, 2, 3, 4, 4, 2, 1, 3, 3, 3, 3], shape: [4, 3])
            for zeroInfinity in [true] {
                Emulated.same(
                    { a in
                        let x = a[0].asLeaf()
                        let loss = ctcLoss(
                            logSoftmax(x), a[1], inputLengths: [9, 7, 9, 3], targetLengths: [3, 2, 0, 3], reduction: .sum,
                            zeroInfinity: zeroInfinity)
                        loss.backward()
                        return concatenate([x.grad!.flattened(), loss.reshaped([1])])
                    }, [scores, targets], Tolerance(relative: 1e-4, absolute: 1e-5), "labels of four sequences")
            }
        }

        /// Many parameters to a launch, of sizes around a block's chunk; two groups with rates of their own.
        @Test(arguments: [false, true]) func manyParameters(_ amsgrad: Bool) {
            let sizes = [1, 4096, 4097, 3, 0, 9000] + [Int](repeating: 5, count: 24)
            let starts = sizes.map { draw([$0]) }, slopes = sizes.map { draw([$0]) }
            func trained(_ device: Device) -> ([Tensor], launches: UInt64) {
                let all = starts.map { Parameter($0.to(device)) }
                let optimizer = AdamW(
                    [ParameterGroup(Array(all[..<20])), ParameterGroup(Array(all[20...]), learningRate: 0.01)], learningRate: 0.1,
                    amsgrad: amsgrad)
                var launches: UInt64 = 0
                for _ in 0..<2 {
                    for (p, g) in zip(all, slopes) { p.grad = g.to(device) }
                    let before = tk_emulator_get_statistics().launches
                    optimizer.step()
                    launches = UInt64(tk_emulator_get_statistics().launches - before)
                }
                return (all.map(\.value.onCPU), launches)
            }
            let (a, launches) = trained(Emulated.device), (b, _) = trained(.cpu)
            #expect(launches == 2, "a launch for each group")
            for (x, y) in zip(a, b) {
                let wrong = mismatch(x, y)
                #expect(wrong == nil, "\(x.shape): \(wrong ?? "")")
            }
        }

        @Test(arguments: [DType.float32, .float64]) func optimizers(_ type: DType) {
            let start = draw([37], type), slopes = (0..<3).map { _ in draw([37], type) }
            func trained(_ device: Device, _ make: ([Parameter]) -> Optimizer) -> Tensor {
                let p = Parameter(start.to(device))
                let optimizer = make([p])
                for g in slopes {
                    optimizer.zeroGrad()
                    (p.value * g.to(device)).sum().backward()
                    optimizer.step()
                }
                return p.value.onCPU
            }
            let all: [(String, ([Parameter]) -> Optimizer)] = [
                ("Adagrad", { Adagrad($0, learningRate: 0.1, weightDecay: 0.1) }),
                ("Adadelta", { Adadelta($0, learningRate: 0.5) }),
                ("Adamax", { Adamax($0, learningRate: 0.1) }), ("NAdam", { NAdam($0, learningRate: 0.1) }),
                ("RAdam", { RAdam($0, learningRate: 0.1) }), ("ASGD", { ASGD($0, learningRate: 0.1) }),
                ("Rprop", { Rprop($0, learningRate: 0.1) }), ("Lion", { Lion($0, learningRate: 0.1, weightDecay: 0.1) }),
                ("RMSProp", { RMSProp($0, learningRate: 0.1) }), ("AdamW", { AdamW($0, learningRate: 0.1) }),
            ]
            for (name, make) in all {
                let wrong = mismatch(trained(Emulated.device, make), trained(.cpu, make), .standard(type))
                #expect(wrong == nil, "\(name) of \(type): \(wrong ?? "")")
            }
        }
    }
}

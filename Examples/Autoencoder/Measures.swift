import Tapestry

/// The mean squared error of the best linear autoencoder of as many numbers: principal components of `training` `[count, ...]`, applied to `test`.
func principalComponentError(_ training: Tensor, _ test: Tensor, components: Int) throws -> Double {
    let x = training.flattened(from: 1), mean = x.mean(0, keepDims: true)
    let centred = x - mean
    // Eigenvectors of the covariance, the largest eigenvalues last.
    let basis = try LinearAlgebra.eigh(matmul(centred.T, centred)).eigenvectors[0..., (-components)...]
    let asked = test.flattened(from: 1) - mean
    let difference = asked - matmul(matmul(asked, basis), basis.T)
    return (difference * difference).mean().item(Double.self)
}

/// How often the class is found by a linear map from codes to classes, fitted by least squares with a ridge: what a code says about the picture
/// that it was never told.
func linearProbe(_ codes: Tensor, _ labels: Tensor, _ testCodes: Tensor, _ testLabels: Tensor, classes: Int) throws -> Double {
    let mean = codes.mean(0, keepDims: true), deviation = sqrt(codes.variance(0, keepDims: true)) + 1e-6
    func prepared(_ x: Tensor) -> Tensor {
        concatenate([(x - mean) / deviation, Tensor(ones: [x.shape[0], 1])], axis: 1).to(.float64)
    }
    let a = prepared(codes), targets = Tensor(oneHot: labels, classes: classes, dtype: .float64)
    let ridge = Tensor(eye: a.shape[1], dtype: .float64) * (1e-3 * Double(a.shape[0]))
    let weights = try LinearAlgebra.solve(matmul(a.T, a) + ridge, matmul(a.T, targets))
    return (matmul(prepared(testCodes), weights).argmax(axis: 1) .== testLabels).to(.float64).mean().item(Double.self)
}

/// Rows of pictures `[count, 1, height, width]` under one another, each pixel `scale` wide, with a line between: `[1, height, width]`.
func imageGrid(_ rows: [Tensor], scale: Int) -> Tensor {
    let lines = rows.map { row -> Tensor in
        let framed = 1 - (1 - row).padded([1, 1, 1, 1])
        return concatenate((0..<framed.shape[0]).map { framed[$0] }, axis: 2)
    }
    let grid = concatenate(lines, axis: 1)
    return grid.repeatInterleaved(scale, axis: 1).repeatInterleaved(scale, axis: 2)
}

import Tapestry

/// Pictures to a few numbers and back: two convolutions of stride 2 and a linear layer, and the same the other way round.
final class Autoencoder: Module {
    private let encoder, decoder: Sequential

    /// For pictures `[1, size, size]`, `size` a multiple of 4, and codes of `code` numbers.
    init(size: Int, code: Int, width: Int) {
        let side = size / 4, inner = 2 * width * side * side
        encoder = Sequential(
            Conv2d(1, width, kernelSize: 3, stride: 2, padding: 1), ReLU(),
            Conv2d(width, 2 * width, kernelSize: 3, stride: 2, padding: 1), ReLU(), Flatten(), Linear(inner, code))
        decoder = Sequential(
            Linear(code, inner), ReLU(), Unflatten(1, into: [2 * width, side, side]),
            ConvTranspose2d(2 * width, width, kernelSize: 4, stride: 2, padding: 1), ReLU(),
            ConvTranspose2d(width, 1, kernelSize: 4, stride: 2, padding: 1), Sigmoid())
    }

    /// `[batch, 1, size, size]` gives codes `[batch, code]`.
    func encode(_ images: Tensor) -> Tensor { encoder(images) }
    /// And back, in 0 ... 1.
    func decode(_ codes: Tensor) -> Tensor { decoder(codes) }
    func callAsFunction(_ images: Tensor) -> Tensor { decode(encode(images)) }
}

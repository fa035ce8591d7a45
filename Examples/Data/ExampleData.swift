import Foundation

/// Where the data of the examples lies: beside this source file.
public enum ExampleData {
    /// Eight plays by Shakespeare as one text file.
    public static var shakespeare: String { path("shakespeare_8_plays.txt") }
    /// A folder with images and labels of Fashion-MNIST.
    public static var fashionMNIST: String { path("fashion-mnist") }

    private static func path(_ name: String) -> String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(name).path
    }
}

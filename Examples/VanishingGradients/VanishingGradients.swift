import Tapestry

@main struct VanishingGradients { static func main() {} }

"""One convolution that colours a grey picture."""

"""Motion segmentation of video by non-local consensus voting: shots, flow, saliency, superpixels, votes, masks."""

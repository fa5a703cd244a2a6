"""Tables of Keller, Gao & Welling 2021, "Modeling category-selective cortical regions with topographic VAEs"."""

"""What is computed: operators, import, the zoo, and elastic families."""

"""From pictures to grey tiles that a network colours again."""

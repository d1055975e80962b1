"""Text: tags, cues and negation in captions. Pure Python, without torch.

- `vocabulary`: tags with aliases and hierarchy; finds their mentions in captions
- `tag_list`: builds a vocabulary from the raw tags of a data set
- `music_terms`: synonyms, hierarchy and parts of speech of common music tags (data)
- `cooccurrence`: how often tags occur together
- `cues`: the negation cues, seen and held-out (data)
- `negate`: Negation insert, half and fully negated captions
- `detect`: finds negations in human-written captions
- `negation`: the grammar of negation, for `detect`
- `rewrite`: affirms or removes a detected negation, splits the negations off a text
- `templates`: writes captions from tags
- `compose`: writes captions from claims, and exclusion captions with false variants
- `probes`: the texts per clip that validation, test and benchmark use
- `inspection`: statistics of Negation insert on a set of captions, and what they deny
"""

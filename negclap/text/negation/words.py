"""Word classes of English, as far as the grammar of negation needs them.

Function words are a closed class and are listed. Nouns are an open class: a word that is listed
nowhere may be part of a noun phrase.
"""


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(text.split())


DETERMINERS = word_set(
    """a an the any all its their his her your my our this that these those some single both either
    even just"""
)
"""Skipped at the start of a noun phrase."""
PREPOSITIONS = word_set(
    """in on at to of for from with within without during throughout through by as than into onto
    upon under over behind beneath beside beyond around across along among amid between against
    about above below until till before after since besides except despite inside outside near
    towards toward per via unlike like minus plus sans versus vs up down off out"""
)
CONJUNCTIONS = word_set(
    """and or but nor yet so because while whereas although though if unless whether when where
    which who whom whose that how what why as than"""
)
PRONOUNS = word_set(
    """i you he she it we they me him them us there here everyone everybody someone somebody
    anyone anybody one ones everything something anything each every"""
)
BE = word_set("is are was were be been being 's am isnt aint theres ain't")
HAVE = word_set("has have had having got")
MODALS = word_set(
    "can could will would may might must should shall cannot let lets do does did doing done"
)
ADVERBS = word_set(
    """only just even also too very really so quite rather much more most less least always ever
    already still again now then once anymore either else instead together alone anywhere
    everywhere somewhere involved included needed required heard audible present used played
    featured whatsoever please pls plz thanks thx tbh imo lol ngl tho yes yep though however
    surely simply altogether
    alike throughout underneath underlying left around sung performed recorded necessary allowed
    wanted detectable available at"""
)
VERBS = word_set(
    """seem seems seemed sound sounds sounded make makes made making give gives gave giving keep
    keeps kept get gets go goes went come comes came takes take took taking play plays played
    playing sing sings sang singing feature features featuring include includes including contain
    contains containing use uses using accompany accompanies accompanied accompanying appear
    appears appeared enter enters entered join joins joined carry carries carried drive drives drove
    add adds added need needs want wants likes feel feels felt become becomes became begin begins
    began start starts started end ends ended stay stays remain remains say says said hear hears
    know knows think thinks overpower overpowers drown drowns disrupt disrupts distract distracts
    kick kicks follow follows stand stands hold holds provide provides exist exists"""
)
STOPS = (
    DETERMINERS | PREPOSITIONS | CONJUNCTIONS | PRONOUNS | BE | HAVE | MODALS | ADVERBS | VERBS
    | word_set("not never no none nothing nobody neither w/o w/out zero n/a")
)  # fmt: skip
"""Words that end a noun phrase."""
STARTERS = word_set(
    """singing playing being accompanying audible added included played present used heard
    featured recorded sung performed underlying"""
)
"""Words of `STOPS` that may start a noun phrase: "no added drums", "no singing"."""
PARTS = word_set(
    """solo solos riff riffs line lines part parts section sections sound sounds track tracks fill
    fills loop loops beat beats kit kits roll rolls pattern patterns hook hooks lick licks melody
    melodies harmony harmonies chord chords note notes tone tones pad pads sample samples stab stabs
    ballad ballads song songs music tune tunes piece pieces band bands player players playing
    performance performances accompaniment effect effects intro outro drop drops work element
    elements style rhythm rhythms break breaks phrase phrases chop chops hits hit cymbal machine
    machines arrangement version versions mix mixes quartet trio duo group figure passage passages
    run runs verse verses chorus hop bass vocal vocals instrument instruments strings brass drums
    drum chant chants growls vibrato reverb delay distortion tuning dub edit kick stem stems
    concerto sonata suite drone hat hats bell bells organ whistle lyrics singing voice voices synth
    lead guitar guitars leads metal rock pop jazz rap channel channels layer layers call calls
    wobble wobbles drumming overdub overdubs crash
    crashes continuo montuno"""
)
"""Nouns that a musical term may modify: "guitar solo" is narrower than "guitar"."""
LEADING = word_set("solo lead backing bass vocal")
"""Terms that modify the term after them: "solo violin"."""
LIGHT_HEADS = word_set(
    """sound sounds part parts track tracks playing performance work element elements presence
    accompaniment instrument instruments player players instrumentation section line lines music
    stem stems"""
)
"""Heads that add nothing to the noun before them: "no piano part" is "no piano"."""
PARTITIVES = word_set(
    """trace traces hint hints sign signs shred whiff whisper glimpse kind kinds type types sort
    sorts form forms semblance evidence presence use sound sounds involvement help addition touch
    speck ounce iota scrap amount way suggestion vestige shadow"""
)
"""Heads before "of" that stand for the noun after it: "no trace of a drum"."""
UNITS = word_set("note notes bar peep second")
"""Partitives only before a noun without article: "not a note of brass"."""
OPEN_MODIFIERS = word_set(
    """audible discernible noticeable detectable recognizable recognisable apparent evident present
    real actual proper single added accompanying musical human distinct distinguishable clear
    obvious such particular identifiable traditional conventional heard used played featured
    perceptible visible significant sung"""
)
"""Modifiers that do not narrow the noun: "no audible drums" is "no drums"."""
OTHERS = word_set("other additional further more extra else second another")
"""Modifiers that leave something present: "no other instruments"."""
COMPARATIVES = word_set(
    "better worse finer greater bigger louder softer faster slower warmer stronger"
)
"""Modifiers that compare after any cue: "you will not find a warmer tone"."""
COMPARING = COMPARATIVES | word_set(
    """such ordinary typical usual average mere common simple small easy mean two three four less
    fewer bad normal standard good"""
)
"""Modifiers after "no" that compare or classify: "no ordinary piano"."""
SECTIONS = word_set(
    """intro introduction overture prelude outro verse verses chorus choruses bridge break breakdown
    beginning start opening opener end ending middle half section sections part passage passages
    moment moments stretch stretches coda interlude interludes drop drops fill fills
    channel build-up buildup climax refrain refrains intros outros bit bits portion portions
    movement movements finale encore alap gat head medley ballads cadenza pre-chorus"""
)
"""Parts of a recording: what is absent there may be present elsewhere."""
WORKS = word_set(
    """song songs track tracks piece pieces music tune tunes recording recordings clip clips version
    versions mix mixes remix remixes album albums record records cover covers arrangement
    arrangements performance take takes tape edit cut cuts demo single singles number numbers
    playlist playlists loop loops beat beats session rendition soundtrack score theme set jam suite
    edition composition improvisation material stuff anything something one ones background cue cues
    bed style genre audio video sample production instrumentation videos ad ads film films game
    games project class row march waltz hymn anthem lullaby jig reel fugue sonata concerto symphony
    prelude etude aria duet trio quartet"""
)
"""Nouns for recordings, and for what music is made for."""
PRESENT = word_set(
    """heard used present audible included featured played involved here there available added
    employed found detectable mixed layered caught laid picked strummed plucked struck sampled sung
    singing playing accompanying anywhere seen recorded performed"""
)
"""Words after "are" that say that something is there."""
PRESENCE_VERBS = word_set(
    """appear appears play plays enter enters join joins exist exists accompany accompanies feature
    features kick kicks come comes show shows turn turns sing sings sound sounds find finds take
    takes"""
)
"""Verbs that say that their subject is there."""
NOT_OF_PRESENCE = word_set(
    """need needs know knows require requires say says mind care leave leaves like likes take takes
    make makes by in on under of"""
)
"""Words before "no" after which it denies something else than presence."""
MANNERS = word_set(
    "clearly well properly loudly prominently enough as like distinctly very often much"
)
"""Adverbs that say how something is heard: it is there."""
NOT_BEFORE_LESS = word_set("tune sound thunder")
"""Nouns of music with which "-less" has a meaning of its own: "tuneless", "soundless"."""
SINGULAR_IN_S = word_set("bass brass blues chorus sax keys bus class")
"""Singular nouns that end in s."""
FOREIGN = word_set(
    """os um uma em com da dos das de del el la las los un una para que nas ao aos música musica
    tocado tocada cantado le les du des et dans avec et il lo gli di della nel nella der das und mit
    ein eine ist nicht wa ga wo ni ja jest ne je mon troppo tanto molto senza non sem sin pas banda
    antigo chorinho mestre bateria enredo
    toca tocando aula"""
)
"""Words of other languages, most of them function words, that are no English words."""

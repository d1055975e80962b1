"""Synonyms, hierarchy, categories and parts of speech of music tags; data for `tag_list`.

Written for the tag lists of ECALS, MagnaTagATune and MTG-Jamendo and the aspects of MusicCaps.
"""

import re

_SYNONYMS = """
vocals; vocal; voice; voices; singing; singer; singers; vocalist; vocalists
female vocals; female vocal; female voice; female vocalist; female vocalists; female singer; \
female singing; woman singing
male vocals; male vocal; male voice; male vocalist; male vocalists; male singer; male singing; \
man singing
choir; choirs
synthesizer; synth; synths; synthesiser
saxophone; sax
bass guitar; e-bass; electric bass
electric guitar; e-guitar
double bass; upright bass; contrabass
drum machine; drum computer
r&b; rnb; r and b; rhythm and blues
rock and roll; rock n roll; rock nroll; rocknroll
drum and bass; drum n bass; dnb; drumbass
hip hop; hiphop
lo-fi; lo fi; lofi
classical; classical music
electronic; electronic music; electronica
instrumental; instrumental music; instrumentals
easygoing; easy going
laid back; laidback
contemporary christian; ccm; contemporary christian music
uk; united kingdom
usa; united states
"""
SYNONYMS = tuple(tuple(line.split("; ")) for line in _SYNONYMS.split("\n") if line)
"""Names of the same tag, the canonical name first."""

SHORTENED: dict[str, str] = {
    "female": "female vocals",
    "woman": "female vocals",
    "male": "male vocals",
    "man": "male vocals",
    "choral": "choir",
}
"""Tags whose words mean something else in a caption, with their canonical names."""

_KINDS: dict[str, str] = {
    "vocals": "female vocals; male vocals; choir; rap; a cappella; opera; backing vocals; duet; "
    "spoken word; scat; yodel; beatbox; chant; screamo; singer songwriter; doo wop; close harmony; "
    "barbershop",
    "guitar": "guitar solo; guitar virtuoso",
    "drums": "drum machine; drum kit; snare; kick; cymbals; hi hats",
    "percussion": "drums; drum machine; tambourine; shaker; bongos; congas; maracas; cowbell; "
    "timpani; marimba; vibraphone; xylophone; glockenspiel; bells; handclaps; claps; tabla; cajon; "
    "triangle; djembe; steel drums; castanets; gong",
    "strings": "violin; viola; cello; double bass; fiddle; harp; string quartet; orchestra",
    "violin": "fiddle",
    "brass": "trumpet; trombone; tuba; french horn; horn; horns; cornet; flugelhorn; bugle; "
    "euphonium",
    "woodwind": "flute; clarinet; oboe; bassoon; saxophone; recorder; piccolo; pan flute",
    "bass": "bass guitar; double bass; acoustic bass guitar; synth bass; bassline",
    "keyboard": "piano; organ; harpsichord; synthesizer; electric piano; accordion; celesta; "
    "rhodes; mellotron; clavinet; pipe organ; hammond",
    "organ": "hammond; pipe organ",
    "electronic": "techno; house; trance; drum and bass; dubstep; idm; ebm; electro; breakbeat; "
    "ambient techno; electronica; synth pop; electropop; eurodance; jungle; trip hop; downtempo; "
    "chillout; hi nrg; big beat; rave; glitch; breakcore; electroclash; darkwave; psytrance; "
    "breaks",
    "dance": "house; techno; trance; disco; eurodance; hi nrg; rave; club; drum and bass",
    "hip hop": "rap; gangsta rap; trip hop; turntablism; grime",
    "metal": "grindcore; metalcore; deathcore; thrash; grind",
    "rock": "punk; metal; grunge; rockabilly; indie rock; shoegaze; britpop; emo; psychobilly; "
    "new wave; hardcore; krautrock; slowcore; post hardcore; rock and roll; no wave; surf",
    "punk": "hardcore; emo; riot grrrl; oi; screamo; post hardcore; no wave; straight edge",
    "jazz": "bebop; bop; swing; fusion; big band; free improvisation; bossa nova",
    "reggae": "dub; ska; rocksteady; dancehall; ragga; reggaeton",
    "latin": "salsa; samba; bachata; cumbia; bossa nova; bolero; rumba; tango; tejano; mpb",
    "country": "bluegrass; honky tonk; americana; outlaw country",
    "classical": "opera; chamber music; symphony; baroque; neoclassical; modern composition",
    "ambient": "drone; new age",
    "happy": "joyful; joyous; cheerful; gleeful",
    "sad": "melancholy; gloomy; somber; melancholic; mournful",
    "calm": "peaceful; relaxing; relaxed; soothing; mellow; gentle; calm peaceful; calming",
    "relaxing": "peaceful; soothing; mellow; calm; relaxed; relaxation; chill; chillout",
    "energetic": "lively; upbeat; exciting; energy",
    "fast": "upbeat; uptempo; fast tempo; speed",
    "slow": "slow tempo; downtempo; slowcore; slow dance",
    "loud": "noise; noisy",
    "quiet": "soft; soft quiet",
    "soft": "gentle; quiet; soft quiet",
    "angry": "aggressive; anger hostility; hostile; outraged",
    "dark": "gloomy; ominous; bleak; darkwave; dark ambient; gothic",
    "instrumental": "solo instrumental; instrumental rock; post rock",
    "acoustic": "unplugged",
    "british": "uk; england; english; scottish; britpop",
    "american": "usa; americana",
    "german": "germany; krautrock; berlin",
    "french": "france; chanson",
    "swedish": "sweden",
    "spanish": "spain",
    "brazilian": "brasil; mpb; samba; bossa nova",
    "australian": "australia; aussie",
    "canadian": "canada; quebec; quebecois",
    "jamaican": "jamaica; reggae; dancehall",
    "finnish": "finland",
    "mexican": "mexico; tejano",
    "cuban": "cuba; rumba",
    "african": "africa; mali; afrobeat",
    "christmas": "christmas party",
    "religious": "christian; gospel; worship; praise; spiritual",
    "christian": "gospel; worship; praise; contemporary christian",
    "opera": "soprano; tenor; aria",
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _invert(kinds: dict[str, str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for broad, narrow in kinds.items():
        for name in narrow.split("; "):
            found[name] = (*found.get(name, ()), broad)
    return found


BROADER: dict[str, tuple[str, ...]] = _invert(_KINDS)
"""Broader tags by tag, besides those given by the last words ("acid jazz" is jazz)."""

INSTRUMENTS = _words(
    """accordion banjo bagpipe bass bassoon bell bongos brass cajon cello clarinet computer
    congas cowbell cymbals didgeridoo drums fiddle flute gong guitar hammond handclaps
    harmonica harp harpsichord horn kalimba keyboard lute mandolin maracas marimba mellotron
    oboe orchestra organ oud percussion piano recorder rhodes sampler saxophone shaker sitar
    strings synthesizer tabla tambourine timpani triangle trombone trumpet tuba ukulele
    vibraphone viola violin woodwind xylophone zither"""
)
VOICES = frozenset(
    ["vocals", "female vocals", "male vocals", "choir", "backing vocals", "spoken word", "duet"]
)
GENRES = _words(
    """ambient americana bebop blues bluegrass bop breakbeat britpop chanson classical club
    country cumbia dance dancehall disco drone dub dubstep electro electronic electropop emo
    flamenco folk funk fusion garage glam gospel goth grime grind grindcore grunge hardcore
    hiphop house indie industrial jazz jungle klezmer krautrock latin lounge metal metalcore
    motown noise opera polka pop psychobilly psytrance punk ragga rap rave reggae reggaeton
    rhythmblues rock rockabilly rocksteady salsa samba schlager screamo shoegaze ska soul
    soundtrack surf swing tango techno thrash trance waltz wave worldbeat"""
)
TERMS = frozenset(
    [
        *("acoustic bass guitar", "acoustic guitar", "bass guitar", "classical guitar"),
        *("electric guitar", "electric piano", "drum machine", "drum kit", "double bass"),
        *("pipe organ", "french horn", "string quartet", "steel drums", "female vocals"),
        *("male vocals", "new age", "hip hop", "trip hop", "heavy metal", "easy listening"),
    ]
)
"""Names that some lists write as one word ("acousticbassguitar")."""

KEEPS_S = _words(
    """blues bass brass class less express chorus opus always mass glass loss christmas texas
    politics genius campus bus various famous series news"""
)
"""Words whose final s is not a plural."""

_ADJECTIVE = re.compile(
    r"\w+(?:ive|ful|ous|less|ish|able|ible|ic|al|ant|ent|ing|ed|ary|ory|(?<!it)y|an|ese|like|some)$"
)
_NOUNS = _words(
    """accompaniment birthday bluegrass cabaret carnival comedy country cowboy day daydreaming
    disappointment dreaming drinking driving energy environment event evening fantasy gathering
    festival gypsy germany harmony history holiday homecoming hanging housework instrument
    irony jealousy journal journey listening lullaby magic man marching melancholy melody
    memory metal moment morning movement music organ parody partying party picnic playing
    poetry portugal rapping recording reminiscing revival rhapsody ring rockabilly rocksteady
    psychobilly searching singing solo song spring story string subcontinent swing symphony
    talent toasting topic traffic vocal victory wedding woman yearning bed society speed"""
)
_ADJECTIVES = _words(
    """acoustic alternative amateur analog austere avant-garde bitter bittersweet black bleak
    blue bold brash bright british brittle brutal busy calm carefree celtic chill circular
    classic clean cold complex concise confident cool crazy cute czech danish dark deep
    delicate desperate detached difficult digital distraught dope downbeat downtempo dutch
    earnest eerie effervescent elaborate epic experimental fast fierce finnish french fun
    gentle grand greek hard harsh heavy hostile hot innocent insular intense intimate irish
    laid-back languid light literate live loud lush manic mellow minimal moderate modern mono
    mysterious mythical naive negative noble opulent paranoid passionate plaintive poignant
    polish positive precise quiet ramshackle raw remote reserved retro rich ridden robust
    rockin romantic rough sad scottish serious simple slick slow smart smooth snide soft solemn
    somber sparse stately stereo stoic strong sultry sweet swedish taut tender tense tragic
    tribal underground understated upbeat uptempo vintage volatile warm weird wistful wry"""
)


def is_adjective(words: tuple[str, ...]) -> bool:
    """Whether a tag is more likely an adjective ("not calm") than a noun ("no drums")."""
    last = words[-1]
    if last in _ADJECTIVES or "-".join(words) in _ADJECTIVES:
        return True
    return last not in _NOUNS and not last.endswith("ment") and bool(_ADJECTIVE.match(last))

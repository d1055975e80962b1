"""Nouns of music, by which `detect` recognises attributes in texts without a vocabulary."""

import re
from functools import cache

from negclap.text.music_terms import (
    BROADER,
    GENRES,
    INSTRUMENTS,
    SYNONYMS,
    TERMS,
    VOICES,
    is_adjective,
)

_NOUNS = """
303; 808; 909; accompaniment; accordion; ad libs; ad-lib; adlib; agogo; agogô; airhorns; alphorn;
alto sax; alto saxophone; ambience; amen break; angklung; anvil; applause; arco; arpeggiator;
arpeggio; audience noise; auto-tune; autoharp; autotune; backbeat; backing; backing band; backing
choir; backing singer; backing track; backup singer; backup vocals; baglama; balafon; balalaika;
ballad; band; bandolim; bandoneon; banjo; bansuri; bar chimes; baritone horn; baritone sax; barre
chords; barrel organ; bass; bass clarinet; bass drop; bass drum; bass line; bass notes; basses;
basset horn; bassist; bassline; bayan; beat; beat drop; beatbox; beatboxing; bell tree; bells;
berimbau; bird sounds; birdsong; biwa; blast beats; bodhran; bodhrán; bombarde; bombo; bombo
legüero; bongo; bougarabou; bouzouki; bowed strings; boy choir; braams; brass band; breakbeats;
breakdown; breaks; bridge; bridge section; brushes; bugle; bullroarer; button accordion; cabasa;
cadenza; cajon; cajón; call and response; cante; castanets; cavaquinho; caxixi; celesta; cello;
chant; chanting; charango; chatter; cheering; cheers; children's choir; chimes; china cymbal;
choir voices; choirs; chord; chord changes; chord progression; chorus; chorus effect; chorus
pedal; chromaticism; church bells; clap; clapping; clav; clave; clavichord; clavinet; click; click
track; coda; compression; concertina; conductor; conga; continuo; contrabassoon; cor anglais;
cornet; cornett; count-in; counterpoint; countertenor; cowbell; crackle; crash; crash cymbals;
crescendo; crooning; crotales; crowd noise; crowd sounds; crumhorn; cuatro; cuíca; cymbal; daf;
darbuka; delay; dhol; dholak; dialogue; didgeridoo; dilruba; dissonance; distortion; distortion
pedal; dizi; dj; djembe; dobro; domra; double bass drum; downbeat; drill; drone; drop; drum; drum
beat; drum fill; drum kit; drum loop; drum machine; drum programming; drum roll; drum samples;
drum set; drum solo; drumkit; drummer; drumming; drumset; drumsticks; duduk; dulcian; dulcimer;
dundun; dynamics; echo; echo effects; edm; effects; effects pedals; electric bass; electric
guitars; electric organ; electronics; embellishments; emcee; english horn; ensemble; erhu; esraj;
euphonium; explicit lyrics; fade out; falsetto; farfisa; feedback; fiddler; field recordings;
fife; fill; finger clicks; finger cymbals; finger snapping; finger snaps; flamenco; flanger;
flourishes; flugelhorn; foot stomping; foot stomps; fortepiano; frame drum; fretless bass; fuzz;
fuzz pedal; gaida; gamelan; gang vocals; gayageum; geomungo; ghatam; ghost notes; gimbri; glass
harmonica; glissandi; glissando; glockenspiel; gong; grace notes; grand piano; groove; group
vocals; growl; growled vocals; growling; guacharaca; guembri; guest singers; guest vocals; guiro;
guitar solo; guitarist; guitarrón; gunshots; guqin; gusli; guzheng; güiro; haegeum; hammered
dulcimer; hammond; hand clapping; hand claps; hand drums; hand percussion; handclap; handclapping;
handpan; hardanger fiddle; harmonica; harmonies; harmonising; harmonium; harmonizing; harmony;
harmony vocals; harpist; harpsichord; hat; hi hat; hi-hat; hichiriki; high end; hihat; hiss; hook;
horn; horn arrangement; horn players; horn section; hosho; hum; humming; hurdy-gurdy; hymns; hype
man; igil; impacts; improvisation; instrument; instrumentation; interlude; intro; introduction;
janggu; jarana; jaw harp; jingle bells; kalimba; kantele; kanun; kaval; kazoo; kendang; key
change; keyboard; keyboardist; keys; kick; kick drum; kids choir; kora; koto; krakebs; kulintang;
langeleik; lap steel; laughter; lead guitar; lead guitarist; lead singer; lead vocal; loop;
looping pedal; low end; low frequencies; lute; lyric; maraca; marimba; marimbula; mark tree;
mbira; mc; melisma; mellophone; mellotron; melodeon; melodic elements; melodic line; melodica;
melodies; melody; melodyne; metronome; middle 8; middle eight; mijwiz; minimoog; modulation;
montuno; moog; mouth harp; mouth organ; mridangam; music; music box; musician; narration;
narrator; nature sounds; ney; ngoni; noise; northumbrian pipes; nose flute; nyckelharpa; oboe;
ocarina; ondes martenot; ophicleide; orchestra; orchestration; organist; ornament; ornamentation;
oud; outro; overdrive; overdub; pad; pakhawaj; palm muting; palmas; pan pipes; pandeiro; panning;
pedal steel; pedals; percussion; percussionist; percussive elements; phaser; pianist; piano;
pianoforte; piccolo; pipa; pipe; pitch correction; pitch shifting; pizzicato; playback singers;
player piano; pluck; polyphony; portamento; portative organ; post chorus; power chords; pre
chorus; prepared piano; producer tag; profanity; psaltery; pulse; qanun; quena; rackett; rain
sounds; rap verse; rapper; rapping; raps; rebab; rebec; reed; refrain; repetition; repinique;
reprise; requinto; reverb; reverb tail; rhodes; rhyme; rhyming; rhythm; rhythm guitar; rhythm
guitarist; rhythm section; rhythm track; ride; ride cymbal; riff; rim clicks; rimshot; riq; riser;
room sound; ruan; sabar; sackbut; sample; samplers; santur; sanxian; sape; sarangi; sarod; saron;
sax solo; saxes; saxophone; saxophone section; saxophonist; saz; scat; scatting; scratches;
scratching; scream; screamed vocals; screaming; screeches; sequencer; serpent; setar; shaker;
shakuhachi; shamisen; shawm; shehnai; shekere; sho; shouting; shoutouts; shouts; shruti box;
shuffle; side drum; sidechain; sidechain compression; singer; singing; singing bowl; sirens;
sitar; sitarist; skit; slap bass; sleigh bells; slide guitar; slide whistle; snap; snare; snare
drum; solo; soloist; soprano sax; sound; sound effects; sousaphone; speech; speech samples;
spinet; splash cymbal; spoken bits; spoken intro; spoken word; static; steel drum; steel guitar;
steel pan; steelpan; stereo effects; stingers; stomps; string; string arrangement; string players;
string quartet; string section; structure; strumming; stutter; stylophone; sub; sub bass;
sub-bass; suling; suona; supersaw; surbahar; surdo; swanee whistle; swarmandal; swearing; swing
feel; syncopation; synth; synth bass; synth lead; synth pad; taiko; talk box; talkbox; talking;
talking drum; tambourine; tanpura; tape hiss; tape loops; tapping; tar; tb-303; tempo change;
tenor horn; tenor sax; tenor saxophone; theorbo; theremin; thunder; thunder sheet; timbales; time
signature; timpani; tin whistle; toasting; tom; tom-toms; tonality; toy piano; trap; treble;
tremolo; tremolo picking; tres; trills; trombonist; trumpeter; tsuzumi; tuba; tubular bells; tune;
turntables; turntablist; udu; uilleann pipes; ukulele; upright piano; valiha; variation; veena;
verse; vibraphone; vibraslap; vibrato; vielle; vihuela; vinyl crackle; viol; viola da gamba;
violinist; virginal; vocal chops; vocal effects; vocal harmonies; vocal harmony; vocal melody;
vocal sample; vocalisation; vocalist; vocalization; vocoder; voice; voice-over; voiceover; vox;
vuvuzela; wah; wah pedal; wah wah; walking bass; washboard; water sounds; whale song; whispering;
whispers; whistle; whistling; white noise; whoosh; wind chimes; wind machine; winds; wobble;
wobble bass; woodblock; woodwinds; word; wurlitzer; xalam; xiao; yangqin; yell; yelling; yodel;
yodeling; yodelling; zabumba; zampoña; zurna
"""
_AMBIGUOUS = frozenset(
    ["club", "house", "instrumental", "instrumentals", "new age", "soul", "surf", "uk", "usa"]
)
"""Genres whose names mean something else more often: "no soul", "a house without a piano"."""

_CONCEPTS = {
    "vocals": "vocal; vocals; voice; voices; singer; singers; sings; singing; vocalist; vocalists; "
    "vocalisation; vocalization; vocal melody; choir; rapper; rappers; rapping; vox",
    "lyrics": "lyric; lyrics; word; words",
    "percussion": "percussion; percussions; percussive; percussionist",
    "drums": "drum; drums; drummer; drum kit; drumming; kick; snare; snares",
    "instruments": "instrument; instruments; instrumentation",
    "accompaniment": "accompaniment; accompaniments; backing; support",
    "melody": "melody; melodies; tune",
    "harmony": "harmony; harmonies; chord; chords",
    "rhythm": "rhythm; beat; beats; groove",
    "bass": "bass; bassline; basslines",
    "guitar": "guitar; guitars; guitarist",
    "piano": "piano; pianos; pianist",
    "strings": "strings; violin; violins",
    "synthesizer": "synth; synths; synthesizer; synthesizers; synthesiser",
    "trumpet": "trumpet; trumpets",
    "saxophone": "saxophone; saxophones; sax",
    "flute": "flute; flutes",
    "brass": "brass; horn; horns",
    "organ": "organ; organs",
    "cymbals": "cymbal; cymbals; hi-hat; hi-hats",
    "music": "music; sound; sounds",
}
CONCEPT_OF = {word: name for name, words in _CONCEPTS.items() for word in words.split("; ")}
"""Concepts of common words in music captions; used when no vocabulary is given."""


@cache
def music_nouns() -> frozenset[str]:
    """Return nouns of music, singular and plural, with spaces in place of hyphens."""
    known = [*INSTRUMENTS, *VOICES, *GENRES, *TERMS, *BROADER]
    known += [name for group in (*SYNONYMS, *BROADER.values()) for name in group]
    nouns = [n for n in known if n in GENRES | INSTRUMENTS or not is_adjective(tuple(n.split()))]
    nouns += _NOUNS.replace("\n", " ").strip().split("; ")
    names = {noun.replace("-", " ") for noun in nouns}
    return frozenset(names | set(map(_plural, names))) - _AMBIGUOUS


def _plural(noun: str) -> str:
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun if noun.endswith("s") and not noun.endswith("us") else f"{noun}es"
    return f"{noun[:-1]}ies" if re.search(r"[^aeiou]y$", noun) else f"{noun}s"

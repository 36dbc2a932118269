"""Generate text for the synthetic voices: random sentences from small word lists, in several languages.

Only the sequence of sounds matters, not the meaning. English sentences follow simple patterns for natural prosody;
other languages concatenate words; made-up words add sound sequences that the lists lack.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SUBJECTS = (
    "my mother", "the baker", "a small boy", "our neighbour", "Bob", "Emma", "the whole family", "this old farmer",
    "the young woman", "your brother", "Mister Palmer", "the pilot", "a clever fox", "Phoebe", "the village",
    "everybody", "the weather", "William", "that brave fireman", "the postman", "he", "she", "they", "we", "Peter",
    "the judge", "a shy girl", "the chef", "Thomas", "her father", "the big brown bear", "a voice", "the museum",
    "Joe",
)  # fmt: skip
VERBS = (
    "makes", "bought", "likes", "moved", "found", "puts away", "wants", "gave back", "forgot", "washed",
    "should watch", "will bring", "never saw", "could not leave", "remembers", "opened", "jumps over",
    "thought about", "chose", "is looking for", "keeps", "showed us", "has broken", "would prefer", "believes in",
    "threw", "sews", "offered", "paid for", "measured", "climbed up", "improved", "left behind", "drew", "warms",
    "can hear",
)  # fmt: skip
OBJECTS = (
    "a blue bowl", "the open window", "five warm apples", "some fresh bread", "the music room", "a purple umbrella",
    "the chocolate cake", "these yellow shoes", "an empty bottle", "the river", "both bicycles", "a better job",
    "the map of Europe", "a pair of gloves", "three thin feathers", "the whole problem", "an orange",
    "cheap furniture", "the moon", "a new phone", "very good coffee", "the garden wall", "the evening paper",
    "my favourite movie", "a bag of peas", "the truth", "soft cheese", "a huge ship", "the football match",
    "nothing at all", "a mouse", "the village church", "a piece of pie", "few words", "the other side",
    "a wooden boat", "eighty-four pounds",
)  # fmt: skip
ENDINGS = (
    "in the morning", "before lunch", "every single day", "near the beach", "without a word", "for a while",
    "on Thursday", "above the shop", "from time to time", "with both hands", "because of the rain",
    "at half past five", "under the bridge", "in September", "as usual", "while the baby sleeps",
    "after a cup of tea", "by the fire", "from below", "with much joy", "over there", "if you please",
    "again and again", "when nobody looks",
)  # fmt: skip
OPENINGS = (
    "well", "of course", "maybe", "to be honest", "oh", "yes", "no", "hello", "by the way", "look", "mm",
    "good morning", "welcome back", "thank you", "please wait", "I mean", "you know", "first of all", "wow", "now",
    "finally", "hm",
)  # fmt: skip

COMMON = (
    "able about above across after afternoon again agree air almost along always animal another answer anyone apple "
    "around arrive ask baby back balance beautiful become before begin behind believe below best between big bird "
    "black blood blow blue board boat body book both bottom bowl box boy branch bread break breath bring broken "
    "brother brown build business busy button buy call camp careful carry catch cause center certain chair chance "
    "change cheap check child choice choose church circle city class clean clear climb close clothes cloud coat "
    "coffee cold color come common company complete could country couple course cover cream cross crowd cup customer "
    "dance danger dark daughter day deep different dinner discover doctor dollar door double down dream dress drink "
    "drive during early earth easy eight empty enjoy enough evening every example eye face fall family famous far "
    "farm father favorite feather feel few field fifteen fight figure fill final find finger fire first fish five "
    "floor flower fly follow food foot forest forget forward four fresh friend from front fruit full funny future "
    "game garden gather gentle girl give glass gold good grandmother great green ground group grow guess hair half "
    "hand happen happy hard have head hear heart heavy help here high history hold home honey hope horse hospital hot "
    "house however huge human hundred hurry husband idea imagine important improve inside interest island issue job "
    "join journey juice jump just keep kitchen knife know language large last laugh law leaf learn leave left lesson "
    "letter light listen little live local long look loose loud love low lunch machine magic make map mark market "
    "matter maybe measure meat medicine meet member memory method middle milk million mind minute mirror mistake "
    "modern moment money month moon morning mother mountain mouth move movie much museum music myself name nation "
    "nature near neighbor never new newspaper next nice night nine nobody noise north nothing notice now number "
    "object ocean offer office often oil old once onion only open orange order other our outside over own page paint "
    "pair paper parent park part party pass past path pay peace pen people pepper perfect perhaps person phone photo "
    "piano picture piece place plan plane plant plate play please pocket point poor popular position possible potato "
    "power prepare present president pretty price probably problem process product program promise proof public pull "
    "purple push put quality queen question quick quiet quite rabbit radio rain raise rather reach read ready reason "
    "record red relax remember report rest return rice rich ride right ring rise river road room round rule run safe "
    "same sample save scared school science season second secret see sell send serious seven several shadow shape "
    "share sharp she shelf ship shirt shoe shop short should shoulder show side sign silver simple since sing sister "
    "six size sky sleep slow small smile smooth snow social soft some song soon sound soup south space speak special "
    "spoon spring square stand star start station stay step still stone stop store storm story straight strange "
    "street strong student study such sudden sugar summer sun support sure surface surprise sweet swim system table "
    "take talk tall teacher team tell ten thank theater then there thick thin thing think third thirty thought "
    "thousand three through throw time tired today together tomorrow tongue tonight tooth top total touch toward town "
    "toy train travel treasure tree trouble true trust try turn twelve twenty two umbrella under until upon use "
    "useful usual valley value very view village visit voice wait walk wall want war warm wash watch water wave way "
    "wear weather week welcome west what wheel where which while whisper white who whole why wide wife wild will win "
    "window winter wise wish with woman wonder wood word work world would wow write wrong year yellow yes yesterday "
    "yet young zero"
)

WORDS = {
    "de": "Mutter Baum Wasser schön Fuß Brücke mögen über Vater Apfel Pferd zwei Bücher Morgen Fenster Zeit "
    "böse Blume offen Problem fünf Schule Milch warm Abend gehen suchen möchte immer Haus Mauer Pfeife "
    "weiß Löffel Papier sprechen",
    "fr": "bonjour maman bateau feu pomme jamais beaucoup petit vin blanc rue fleur famille homme ouvrir "
    "problème bébé musique voiture chez chambre pain heureux monde fenêtre demain parler boire vieux "
    "jardin oiseau femme premier",
    "es": "madre bueno pájaro ventana fuego bebé campo pueblo amigo vaca pequeño hombre mujer jugar mañana "
    "primero problema familia beber viejo abrir nube chico puerta música zapato libro trabajo palabra "
    "llave verde mundo",
    "it": "mamma bambino fuoco acqua problema pomeriggio vino bello giorno finestra famiglia piccolo amore "
    "libro chiave mondo uomo parlare bere pioggia scuola bocca gamba palla vecchio zio figlio foglia "
    "sempre prima buono",
    "pt": "mãe pão fogo bebida janela problema amigo família homem mulher pequeno porta verde chuva livro mundo "
    "coração falar beber manhã bom avó palavra música lápis vento velho campo primo feijão não você",
    "nl": "moeder boom vuur appel vrouw raam probleem schip uur blauw goed morgen boek wereld groot huis mooi "
    "peper fiets deur vijf praten water brood vogel straat meisje zeven lamp oma papier buiten",
    "pl": "mama woda dom okno problem książka dobry chleb pies ryba mleko rower babcia morze zima świat wieś "
    "jabłko człowiek szkoła pięć młody praca drzewo ulica muzyka zupa biały żaba mówić",
    "tr": "anne baba su ev pencere problem elma küçük büyük güzel kitap mavi okul yol bahçe köpek ekmek süt "
    "müzik dünya araba kuş yağmur beyaz çiçek para mum deniz bulut söz",
    "sv": "mamma pappa vatten hus fönster problem äpple liten blomma bok värld hem fågel mjölk öppna bröd skola "
    "fem människa musik gammal blå bil morgon vinter sjö ljus önska björn",
    "fi": "äiti vesi talo ikkuna omena pieni kukka kirja maailma lintu maito leipä koulu viisi ihminen musiikki "
    "vanha auto aamu talvi järvi valo puu poika yö pallo mummo hyvä päivä",
    "ro": "mamă apă casă fereastră problemă măr mic floare carte lume pasăre lapte pâine școală cinci om muzică "
    "vechi albastru mașină bună dimineața vânt ploaie copil bunic femeie foc",
    "id": "ibu air rumah jendela masalah apel kecil bunga buku dunia burung susu roti sekolah lima orang musik "
    "lama biru mobil pagi bapak hujan makan minum pohon bulan api bebas",
    "cs": "máma voda dům okno problém jablko malý květina kniha svět pták mléko chléb škola pět člověk hudba "
    "starý modrý auto ráno zima babička moře dobrý mluvit ovoce vůbec",
    "cmn-latn-pinyin": "mā1 ma5 bà4 ba5 wǒ3 men5 shui3 fang2 zi5 péng2 you5 xué2 xiào4 bu4 dong3 míng2 tian1 yī1 èr4 "
    "sān1 wu3 yú2 piào4 liang5 niú2 nai3 mian4 bāo1 gōng1 zuò4 huā1 yue4 fēng1 bō1 luo2 wèi4 men2 chūn1 shān1",
    "ja": "まま ぱぱ みず いえ まど りんご ちいさい はな ほん せかい とり ぎゅうにゅう ぱん "
    "がっこう ひと おんがく ふるい あおい くるま あさ ふゆ うみ こども あめ ぼく わたし "
    "やま びじゅつかん ありがとう おはよう みなさん べんきょう",
}
LANGUAGES = ("en-us", "en-us", "en-us", "en-gb-x-rp", "en-gb-scotland", "en-029", *WORDS)
CONSONANTS = (
    "b", "p", "m", "f", "v", "w", "d", "t", "s", "z", "sh", "ch", "j", "k", "g", "l", "n", "r", "th", "y", "h", "br",
    "pl", "sm", "fl",
)  # fmt: skip
VOWELS = ("a", "e", "i", "o", "u", "oo", "ee", "ai", "ou", "oa")
VARIANTS = (
    "", "+m1", "+m2", "+m3", "+m4", "+m5", "+m6", "+m7", "+m8", "+f1", "+f2", "+f3", "+f4", "+f5", "+croak",
    "+klatt", "+klatt2", "+klatt3", "+klatt4", "+adam", "+Andrea", "+anika", "+belinda", "+steph", "+linda", "+john",
    "+max", "+ed", "+zac", "+whisper", "+grandma", "+grandpa", "+edward", "+michael", "+iven2",
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """A line to synthesise: text, eSpeak voice, words a minute, pitch and pitch range (0..100)."""

    text: str
    voice: str
    rate: int
    pitch: int
    pitch_range: int


def english(rng: np.random.Generator) -> str:
    """Make one English sentence, sometimes with an opening, a pause or a second clause."""
    parts = [_one(rng, SUBJECTS), _one(rng, VERBS), _one(rng, OBJECTS)]
    if rng.random() < 0.6:
        parts.append(_one(rng, ENDINGS))
    text = " ".join(parts)
    if rng.random() < 0.35:
        text = f"{_one(rng, OPENINGS)}, {text}"
    if rng.random() < 0.25:
        text += f", and {_one(rng, SUBJECTS)} {_one(rng, VERBS)} {_one(rng, OBJECTS)}"
    return text[0].upper() + text[1:] + str(rng.choice([".", ".", ".", "?", "!"]))


def common_words(rng: np.random.Generator) -> str:
    """Join four to nine of the commonest English words in random order, sometimes with pauses."""
    words = [_one(rng, tuple(COMMON.split())) for _ in range(int(rng.integers(4, 10)))]
    return "".join(word + (", " if rng.random() < 0.1 else " ") for word in words).strip(", ") + "."


def foreign(rng: np.random.Generator, language: str) -> str:
    """Join four to ten words of a language's list, sometimes with pauses."""
    words = [_one(rng, tuple(WORDS[language].split())) for _ in range(int(rng.integers(4, 11)))]
    return "".join(word + (", " if rng.random() < 0.12 else " ") for word in words).strip(", ") + "."


def made_up(rng: np.random.Generator) -> str:
    """Make three to seven words of random syllables, so that every consonant precedes every vowel."""
    words = []
    for _ in range(int(rng.integers(3, 8))):
        syllables = (_one(rng, CONSONANTS) + _one(rng, VOWELS) for _ in range(int(rng.integers(1, 4))))
        words.append("".join(syllables) + (_one(rng, tuple("mpnstlkf")) if rng.random() < 0.4 else ""))
    return " ".join(words) + "."


def espeak_line(rng: np.random.Generator, held_out: str = "it") -> Line:
    """Make a random line for eSpeak in any language but `held_out`, which is reserved for validation."""
    language = _one(rng, tuple(name for name in LANGUAGES if name != held_out))
    return line_in(rng, language)


def line_in(rng: np.random.Generator, language: str) -> Line:
    """Make a random line in a given language; one in seven is made-up words."""
    latin = language != "ja"
    if latin and rng.random() < 1 / 7:
        text = made_up(rng)
    else:
        text = english(rng) if language.startswith("en") else foreign(rng, language)
    rate, pitch = int(rng.integers(120, 231)), int(rng.integers(20, 90))
    return Line(text, language + _one(rng, VARIANTS), rate, pitch, int(rng.integers(20, 90)))


def _one(rng: np.random.Generator, items: tuple[str, ...]) -> str:
    return items[int(rng.integers(len(items)))]

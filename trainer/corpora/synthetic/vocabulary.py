"""The words of the synthetic corpus, in the groups from which `phrases` are built."""

from __future__ import annotations

WORDS: dict[str, str] = {
    # Numbers and time.
    "digit": "two three four five six seven eight nine",
    "teen": "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen",
    "ten": "twenty thirty forty fifty sixty seventy eighty ninety",
    "ordinal": "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth",
    "scale": "hundred thousand million billion",
    "month": "january february march april may june july august september october november december",
    "weekday": "monday tuesday wednesday thursday friday saturday sunday",
    "season": "spring summer autumn winter",
    "hours": "morning afternoon evening night",
    "period": "week weekend month quarter season year decade",
    "unit": "dollars pounds euros shares barrels tons gallons acres miles hours jobs units copies tickets",
    # Names.
    "man": (
        "adam albert andrew arthur benjamin brian carl charles daniel david edward eric frank george gordon "
        "harold henry howard jack james john joseph kevin lawrence leonard martin michael nathan oliver "
        "oscar patrick paul peter philip ralph richard robert samuel simon stephen thomas victor walter "
        "william"
    ),
    "woman": (
        "alice amanda angela anna barbara betty caroline catherine charlotte christine deborah diana "
        "elizabeth emily emma grace hannah helen irene jane janet jennifer jessica joan judith julia karen "
        "laura linda lucy margaret maria mary monica nancy olivia pamela patricia rachel rebecca rose ruth "
        "sandra sarah sophie susan victoria virginia"
    ),
    "surname": (
        "adams allen anderson bailey baker barnes bennett brooks campbell carter chapman clark coleman "
        "collins cooper crawford davis dixon douglas edwards ellis evans fisher fleming foster freeman "
        "gardner gibson goldman graham griffin hamilton harper harris harrison hayes henderson hopkins "
        "hudson hughes jackson jenkins johnson jordan kelly kennedy lawson lewis marshall mason matthews "
        "miller mitchell morgan morrison murphy nelson newman norton palmer parker patterson perry peterson "
        "porter powell preston reynolds richardson roberts robinson rogers russell sanders schmidt shaw "
        "simmons simpson spencer stewart sullivan taylor thompson tucker turner wallace warren watson "
        "webster wheeler whitman wilson wright young"
    ),
    "city": (
        "amsterdam athens atlanta baltimore barcelona beijing berlin birmingham boston brussels budapest "
        "buffalo cairo calgary chicago cincinnati cleveland copenhagen dallas delhi denver detroit dublin "
        "edinburgh frankfurt geneva glasgow hamburg helsinki houston istanbul jakarta jerusalem liverpool "
        "london madrid manchester melbourne memphis miami milan milwaukee montreal moscow munich nashville "
        "oakland orlando oslo oxford paris philadelphia phoenix pittsburgh portland prague rome sacramento "
        "seattle shanghai singapore stockholm sydney tampa tokyo toronto vancouver venice vienna warsaw "
        "washington zurich"
    ),
    "country": (
        "argentina australia austria belgium brazil britain canada chile china colombia denmark egypt "
        "england finland france germany greece hungary india indonesia ireland israel italy japan kenya "
        "korea malaysia mexico morocco nigeria norway pakistan peru poland portugal russia scotland spain "
        "sweden switzerland thailand turkey vietnam"
    ),
    "nationality": (
        "american british canadian chinese dutch european french german indian italian japanese korean "
        "mexican russian spanish swedish"
    ),
    "brand": (
        "allied apex atlas beacon bristol cambridge capital cascade central century colonial columbia "
        "continental crescent crown delta diamond dominion eagle eastern empire essex evergreen federal "
        "falcon fidelity frontier general gibraltar granite harbor heritage horizon imperial keystone "
        "lakeside liberty lincoln magnolia meridian metro midland monarch mutual national northern olympic "
        "orient pacific pioneer premier provident regal republic riverside royal sierra southern standard "
        "sterling summit superior titan triangle trident unity universal vanguard western windsor"
    ),
    "trade": (
        "airlines bank brothers cement chemical communications computer electric electronics energy "
        "engineering foods furniture gas glass group holdings industries instruments insurance laboratories "
        "machines media metals mining motors oil paper partners petroleum pharmaceuticals plastics power "
        "publishing railways rubber securities shipping software steel stores systems technologies "
        "telephone textiles tobacco trust"
    ),
    # Business and public life.
    "officer": (
        "accountant adviser analyst attorney auditor banker broker chairman commissioner consultant "
        "delegate director economist executive governor judge lawyer manager mayor minister president "
        "prosecutor secretary senator spokesman spokeswoman strategist trader treasurer"
    ),
    "officers": (
        "analysts bankers brokers buyers consumers creditors critics customers dealers developers "
        "economists employees experts exporters farmers investors lawmakers managers manufacturers "
        "officials owners producers regulators retailers shareholders suppliers taxpayers traders voters "
        "workers"
    ),
    "body": (
        "agency army association board cabinet commission committee congress council court department "
        "government industry institute jury ministry parliament party police senate treasury union"
    ),
    "firm": (
        "bank brewery broker builder carrier company corporation dealer factory firm maker partnership "
        "publisher refinery retailer shipyard subsidiary supplier utility"
    ),
    "measure": (
        "budget currency debt deficit demand dividend economy employment exports imports income inflation "
        "interest investment margin market output price production productivity profit revenue spending "
        "supply surplus tax trade turnover unemployment wage"
    ),
    "deal": (
        "acquisition agreement alliance auction bid bond contract deal decision expansion issue "
        "investigation joint lawsuit lease license loan merger mortgage negotiation offer order partnership "
        "patent plan policy program project proposal recovery reform regulation restructuring sale "
        "settlement strategy takeover treaty venture"
    ),
    "reason": (
        "competition confidence conflict corruption costs crisis currency delays disputes drought "
        "earthquakes elections fees fraud growth losses pollution problems pressure rates recession reforms "
        "rumors savings shortages strikes subsidies tariffs taxes tension uncertainty weakness"
    ),
    "rise": "advanced climbed doubled gained grew improved increased jumped recovered rose soared surged",
    "fall": (
        "collapsed declined decreased dropped eased fell plunged retreated shrank slid slipped tumbled "
        "weakened"
    ),
    "act": (
        "abandoned accepted announced approved backed blocked cancelled challenged completed considered "
        "criticized debated defended delayed discussed endorsed examined expected favored financed ignored "
        "launched negotiated opposed planned postponed praised proposed reconsidered rejected renewed "
        "reviewed signed studied supported suspended welcomed"
    ),
    "act_base": (
        "accept announce approve avoid block cancel challenge complete consider delay discuss examine "
        "explain finance improve launch negotiate oppose postpone propose reject renew review sign support "
        "suspend"
    ),
    "say": (
        "added agreed argued believed claimed concluded confirmed denied estimated explained forecast "
        "hinted insisted noted predicted promised repeated replied reported said suggested testified "
        "thought warned wrote"
    ),
    "quality": (
        "aggressive ambitious annual attractive available broad careful cautious commercial competitive "
        "complex controversial corporate costly crucial difficult domestic dramatic effective efficient "
        "enormous expensive extensive familiar favorable final financial flexible foreign formal former "
        "fragile generous global huge immediate important independent industrial initial international "
        "large legal limited local major massive minor modern modest narrow negative new official ordinary "
        "original permanent political poor popular positive possible powerful practical preliminary "
        "previous private profitable public rapid recent regional reliable remarkable serious severe sharp "
        "significant similar slow small social special stable steady strong substantial sudden technical "
        "temporary tough traditional unusual urgent useful valuable voluntary weak"
    ),
    "manner": (
        "abruptly apparently briefly broadly carefully clearly eventually finally formally frequently "
        "gradually heavily immediately initially largely mainly modestly nearly officially openly partly "
        "privately probably promptly publicly quickly quietly rarely recently reluctantly repeatedly "
        "sharply slightly slowly steadily strongly suddenly unexpectedly usually"
    ),
    # Everyday life.
    "person": (
        "actor artist author baby barber boy brother captain carpenter champion chef child clerk coach "
        "cousin dancer daughter dentist doctor driver engineer father fireman fisherman friend gardener "
        "girl grandfather grandmother guard guest guide hunter husband inventor journalist king landlord "
        "librarian merchant mother musician neighbor nephew nurse painter passenger patient photographer "
        "pilot plumber poet professor queen sailor scholar scientist sculptor sergeant singer sister "
        "soldier stranger student surgeon tailor teacher tourist uncle visitor waiter widow writer"
    ),
    "thing": (
        "album anchor apple bag ball banana basket bell bicycle blanket book boot bottle bowl box bread "
        "brick brush bucket button cake camera candle carpet chain chair cheese clock cloth coat coin cup "
        "curtain cushion desk dictionary dish doll door dress drum egg engine envelope fan feather flag "
        "flute fork gate gift glove guitar hammer hat helmet jacket jewel jug key knife ladder lamp letter "
        "lemon machine magazine map mattress medal mirror mug needle newspaper notebook onion orange oven "
        "package parcel pencil piano picture pillow pipe plate potato radio recipe ribbon ring rope ruler "
        "saddle sandwich scarf shelf shirt shoe shovel sofa spoon stamp stove suitcase sweater sword table "
        "tent thread tomato towel toy tray trumpet umbrella vase violin wallet watch wheel whistle window"
    ),
    "animal": (
        "ant bear beaver bee bird buffalo bull butterfly camel cat chicken cow crab crow deer dog dolphin "
        "donkey duck elephant fish fox frog giraffe goat goose hawk hen horse kitten lamb leopard lion "
        "lizard monkey mouse otter owl ox parrot penguin pig pigeon pony puppy rabbit rat raven robin "
        "salmon seal shark sheep snake sparrow spider squirrel swan tiger turkey turtle whale wolf worm "
        "zebra"
    ),
    "place": (
        "airport attic bakery balcony barn basement bay beach bridge cabin canyon castle cathedral cave "
        "cellar chapel church cinema classroom cliff coast cottage desert dock farm field forest fountain "
        "garage garden gallery harbor highway hill hospital hotel house island jungle kitchen lake library "
        "lighthouse market meadow mill monument mountain museum orchard palace park pasture path pier "
        "playground pond prison restaurant river road school shed shore shop square stadium station statue "
        "street studio swamp temple theater tower town tunnel university valley village wall warehouse "
        "waterfall zoo"
    ),
    "colour": (
        "black blue bronze brown crimson golden gray green orange pale pink purple red scarlet silver "
        "violet white yellow"
    ),
    "look": (
        "ancient beautiful bitter brave bright broken calm charming cheap clean clever cold comfortable "
        "cruel curious damp dark deep delicate dirty dry dusty elegant empty enthusiastic faint famous "
        "fancy fierce flat fresh friendly funny gentle gloomy graceful greedy handsome happy heavy honest "
        "hollow hot humble hungry joyful juicy lazy little lonely long loose loud lovely lucky mysterious "
        "nervous noble noisy odd old peaceful plain pleasant polite proud pure quick quiet rare rich rough "
        "round rusty sad shallow shiny short shy silent simple smooth soft sour strange sweet tall thick "
        "thin tiny tired ugly warm wealthy wet wide wild wise wonderful wooden"
    ),
    "do": (
        "admired borrowed bought brought built carried caught chose cleaned collected counted described "
        "designed discovered drew dropped examined fixed forgot found gave grabbed held hid hung imagined "
        "inspected invented kept kicked left lifted liked lost loved measured mentioned missed moved needed "
        "noticed opened owned packed painted photographed polished preferred pulled pushed put recognized "
        "remembered repaired replaced saved saw sold sketched stole threw took touched treasured used "
        "valued wanted washed watched weighed wrapped"
    ),
    "do_base": (
        "borrow bring build buy carry catch choose clean collect describe draw fix find hold keep lift move "
        "open pack paint polish protect push repair replace save share sketch touch use watch weigh"
    ),
    "go": (
        "arrived crawled danced drifted escaped flew gathered hurried jogged jumped landed leaned marched "
        "moved paused ran rested sailed sang sat shivered slept smiled stood stopped swam travelled "
        "trembled vanished waited walked wandered whispered"
    ),
    "near": (
        "above across along around behind below beneath beside beyond inside near outside past through "
        "toward under"
    ),
    # Weather, science, sport and the arts.
    "sky": (
        "blizzard breeze cloud fog frost hail heat hurricane lightning mist rain rainbow snow storm "
        "sunshine thunder tide tornado wave wind"
    ),
    "sky_do": (
        "approached cleared covered crossed damaged disappeared flooded followed froze hit lasted passed "
        "reached returned shook struck swept threatened"
    ),
    "direction": "east north northeast northwest south southeast southwest west",
    "science": (
        "astronomy biology chemistry ecology economics electricity genetics geography geology gravity "
        "history language logic magnetism mathematics medicine memory music oxygen philosophy physics "
        "psychology radiation religion temperature vision"
    ),
    "research": (
        "analysis argument article chapter comparison conclusion debate definition diagram discovery essay "
        "evidence example experiment explanation formula hypothesis inquiry lecture method observation "
        "paragraph principle question report survey theory thesis topic"
    ),
    "show": (
        "addressed changed clarified compared contradicted covered demonstrated divided explored "
        "illustrated influenced inspired introduced proved revealed shaped simplified summarized tested "
        "transformed"
    ),
    "sport": (
        "baseball basketball boxing chess cricket cycling fencing football golf hockey rowing rugby skating "
        "skiing soccer softball swimming tennis volleyball wrestling"
    ),
    "team": (
        "bears bulls champions cougars dragons eagles falcons giants hornets jaguars kings knights lions "
        "panthers pirates rangers ravens rockets saints sharks tigers warriors wizards wolves"
    ),
    "beat": "beat chased crushed defeated faced humbled overtook stunned surprised trailed upset",
    "art": (
        "ballet ballad comedy concert documentary drama exhibition festival film mystery novel opera "
        "orchestra painting poem portrait romance sculpture song symphony tragedy"
    ),
    "food": (
        "bacon barley beans beef biscuits butter cabbage carrots celery cherries chocolate coffee corn "
        "cream fruit garlic ginger grapes honey jam lettuce milk mushrooms mustard noodles oats olives "
        "peaches peanuts pears pepper pork rice salad salt sauce soup spinach strawberries sugar syrup tea "
        "vegetables vinegar wheat yogurt"
    ),
    "cook": "baked boiled chopped cooked fried grilled mixed roasted served sliced steamed stirred tasted",
    "often": "always sometimes often never seldom still",
}
"""Group → its words, each as likely as any other of the group."""

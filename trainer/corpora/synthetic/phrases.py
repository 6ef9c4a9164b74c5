"""How the sentences of the synthetic corpus are built: each phrase and, indented, its alternatives.

``<name>`` is a phrase or a group of `vocabulary`; ``,`` is a pause.
"""

from __future__ import annotations

PHRASES = """
sentence
    <statement>
    <statement> , and <statement>
    <statement> , but <statement>
    <statement> because <statement>
    although <statement> , <statement>
    <position> <say> that <statement>
    <request>
statement
    <market>
    <company>
    <politics>
    <opinion>
    <home>
    <home>
    <weather>
    <learning>
    <match>
    <culture>
    <meal>
    <travel>
request
    did you ever <do_base> <object> <spot>
    please <do_base> <object> before <being> comes home
    who <do> <object> <spot> <when>
    turn <direction> at the <place> , then walk <count> yards <near> the <place>
    add <count> cups of <food> to the <look> <food>
    if we <do_base> <object> , will they <do_base> <object> too
count
    <digit>
    <teen>
    <ten>
    <ten> <digit>
    <digit> hundred
    <digit> hundred and <ten> <digit>
amount
    <count> <unit>
    <count> <scale> <unit>
    <digit> point <digit> <scale> <unit>
    a <scale> <unit>
share
    <count> percent
    <digit> point <digit> percent
    half a percent
    one percent
    a quarter of a point
year
    nineteen <ten> <digit>
    two thousand <teen>
    eighteen <ten>
day
    <month> <ordinal>
    the <ordinal> of <month>
    <weekday>
    <month>
    last <month>
    next <weekday>
when
    on <weekday>
    in <month>
    last <period>
    this <period>
    that <hours>
    in <year>
    on <weekday> <hours>
    before <day>
    after <day>
    in the <ordinal> quarter
    during the <season>
    until <day>
    since <day>
name
    <man> <surname>
    <woman> <surname>
    mister <surname>
    missus <surname>
    doctor <surname>
business
    <brand> <trade>
    <brand> <trade>
    <surname> <trade>
    <surname> and <surname>
    the <nationality> <firm>
    a <firm> in <city>
position
    the <officer> of the <body>
    an official of the <body>
    <name>
    <name>
    the <nationality> <officer>
    its <officer>
    most <officers>
    many <officers>
    some <officers>
    a few <officers>
matter
    the <deal>
    the <quality> <deal>
    a <quality> <deal>
    the <nationality> <deal>
    its <deal> with <business>
    plans for a <quality> <deal>
    their <ordinal> <deal>
    every <deal>
cause
    <reason>
    <quality> <reason>
    <reason> in <country>
    <reason> and <reason>
    fears of <reason>
object
    the <thing>
    a <look> <thing>
    the <colour> <thing>
    the <look> <thing>
    an old <thing>
    her <colour> <thing>
    his <look> <thing>
    that <thing>
    <digit> pieces of <food>
being
    the <person>
    the <look> <person>
    a <look> <person>
    my <person>
    your <person>
    our <person>
    the <animal>
    a <colour> <animal>
    the <look> <animal>
    <man>
    <woman>
    this <animal>
spot
    <near> the <place>
    <near> a <look> <place>
    at the <place>
    in the <place>
    from the <place> to the <place>
    <near> the <colour> <place>
    <near> the <place> in <city>
market
    the <measure> in <country> <rise> by <share> <when>
    <when> , the <measure> <fall> to <amount>
    <measure> <manner> <rise> <when> , while <measure> <fall> by <share>
    shares of <business> <fall> <share> <when> because of <cause>
    the <quality> <measure> <rise> from <share> to <share>
    <officers> said that the <measure> <rise> by <amount> <when>
    despite <cause> , the <measure> in <city> <manner> <rise>
company
    <business> <manner> <act> <matter> <when>
    <business> will <act_base> <matter> with <business>
    <business> , which sold <amount> <when> , <act> <matter>
    <business> said its <measure> <rise> to <amount> <when>
    <name> , the <officer> of <business> , <act> <matter>
    <business> hired <count> <officers> in <city> <when>
    the <firm> could not <act_base> <matter> because of <cause>
    <business> agreed to buy <business> for <amount>
politics
    the <body> in <city> <act> <matter> <when>
    <position> <act> <matter> despite <cause>
    <country> and <country> <act> <matter> <when>
    <position> asked the <body> to <act_base> <matter>
    the <nationality> <body> <manner> <act> <matter> , but <position> <act> it
opinion
    <position> <say> that the <measure> would be <quality> <when>
    <position> <manner> <say> that <business> should <act_base> <matter>
    <matter> was <quality> and <quality> , <position> <say>
    there is no <quality> <deal> without <cause> , <position> <say>
    <officers> <often> <say> that <cause> could hurt the <measure>
home
    <being> <do> <object> <spot>
    <being> <go> <spot> , and <being> <do> <object>
    <being> <manner> <do> <object> <when>
    <being> <often> <go> <spot> with <object>
    if we <do_base> <object> , they will <do_base> <object> too
    <object> and <object> were <spot>
    i <do> <object> for <being> <when>
    <being> was <look> and <look> , but <being> was not
weather
    the <sky> from the <direction> <sky_do> <city> <when>
    a <look> <sky> <sky_do> the <place> <when>
    after the <sky> , the <place> was <look> and <look>
    there was <sky> and <sky> <near> <city> <when>
    the <sky> <manner> <sky_do> the coast of <country>
    it was <count> degrees in <city> <when>
learning
    the <research> on <science> <show> the <research> of <name>
    a <quality> <research> <show> how <science> and <science> are related
    professor <surname> of <city> <show> a <research> in <year>
    <person> and <person> read <count> pages about <science> <when>
    every <research> in <science> needs a <quality> <research>
match
    the <city> <team> <beat> the <city> <team> <count> to <count> <when>
    <name> won the <sport> match in <city> <when>
    the <nationality> <sport> team <manner> <beat> the <team> <when>
    <count> people watched the <sport> game between <country> and <country>
culture
    the <quality> <art> by <name> <go> <spot>
    <name> wrote a <look> <art> about <being>
    the <nationality> <art> was shown at the <place> in <city> <when>
    <officers> praised the <ordinal> <art> of <name> <when>
meal
    <being> <cook> the <food> with <food> and <food>
    we <cook> <food> , <food> , and <food> <spot>
    <man> and <woman> <cook> <food> from <country> <when>
travel
    <name> <go> from <city> to <city> <when>
    the road to <city> goes <direction> , <near> the <look> <place>
    <count> ships left <city> for <country> <when>
    it is <count> miles from <city> to the <look> <place>
"""

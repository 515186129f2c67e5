"""Words that are capitalised in letters without being names: they begin sentences, head lines, or are polite."""

_WORDS = """
a able about above absolutely accept accepted access accessories accessory according accordingly account accounts
action actions active activity actual actually add added additional additionally address addresses admittedly advance
advice after afternoon again against agent agents ago agree ai all allow allowed almost along already alright also
alternatively although always am amount amounts an and another answer answers any anybody anything anyway api
apologies apology app apparently applicable application apply appreciate appreciated approval approve approved
approximately apps apr april are area aren't around arrange arrival arrive as asap aside ask assembly assist
assistance assistant associated assured at atm attached attempt attention aug august auto automatic automatically
autumn availability available await aware away back background balance bank based basic basically be because become
been before began begin behalf being believe below benefits besides best better between beyond big bill billed billing
blue both brand brief briefly bring but buy by call called can can't cancel canceled cancellation cancellations
cancelled cannot card cards care careful carefully carrier case cases cash categories category caution center centre
certain certainly change changed changes charge charged charges chat check checked checking cheers children choice
choose city claim clear clearly click client clients close closed code collect collection come comes coming comment
comments common communication company compare complaint complete completed completely concern concerns conclusion
condition conditions confirm confirmation confirmed congratulations consequently consider consideration contact
contacted contents context continue contract convenience convenient copy correct correction correctly cost costs could
couldn't country couple coupon course courtesy cover coverage create created credit credited credits currency current
currently customer customers daily damage damaged data date dated dates day days dear debit dec december decision
declined deep default defective definitely delay delayed delays delete deliver delivered deliveries delivery demand
department depending deposit describe described description design despite destination detail details did didn't
difference different direct direction directly discount discounts discuss discussed dispatch dispatched do document
documents does doesn doesn't dollar dollars don't done down dr draft due duration during each earlier early easy eight
either eleven else email emails employee end ended energy english enjoy enough enquiry ensure enter entire entry
environment error especially estimate estimated eta etc eur euro euros even evening event eventually every everybody
everyone everything evidence evidently exact exactly example examples excellent except exception exchange exchanged
exchanges exercise expect expected expedited expense expenses experience expiration expire expires explain explanation
express extra family faq faqs fast feature features feb february fee feedback feel fees few file files final finally
financial find fine first firstly follow followed following follows for form format former fortunately found free
frequently fri friday from fulfillment full fully funds further furthermore future fyi gbp general generally get gift
give given gives giving glad go goes going good goods got great greetings group guarantee guest guidance guide had
half happens happily happy hard hardware has hasn't have haven't having he head heading health hear hello help helpful
hence her here here's hereby hers hey hi high highly him his history hold holiday home honestly hope hopefully hour
hours house how however html http https i i'd i'll i'm i've id ideally identification identifier identity ids if
immediate immediately important importantly in inc incident include included includes including income incorrect
indeed indicate info inform information initial initially inquiry inside instead instruction instructions insurance
intend interest interestingly internal international internet into introduction inventory invoice invoiced invoices is
isn isn't issue issued issues it it'll it's item items its itself jan january join json jul july jun june just keep
key kind kindly knew know knowledge known large last lastly late later latest lead least leave left legal less let
let's letter level life like likely limit limited line link list listed little local location log longer look looks
lost lot love low ltd luckily made mail main mainly maintenance major make makes manage management manager many mar
march matter matters may maybe me mean means meanwhile meeting member members men mention mentioned merchandise
merchant message messages method methods might mine minimum minute minutes missing mistake moment mon monday money
month monthly months more moreover morning most mostly move mr mrs ms much must my myself n/a na name names naturally
near nearly necessary need needed needs neither never nevertheless new next nice night nine no nobody none nonetheless
nor normal normally not notably note noted notes nothing notice notification notify nov november now number numbers
obviously occasionally oct october of off offer offered offers office official often oh ok okay old on once one ones
online only onto open opened opinion opposite option optional options or order ordered orders original originally
other others otherwise our ours ourselves out outcome outside outstanding over overall overview own owner pack package
packages packaging page paid paper part partial particular particularly parties partner parts party password past pay
paying payment payments pdf pending people per percent perfect perhaps period permission person personal personally
pick pin place placed plan plans please pleased pleasure plus pm point points policies policy portal pos position
positive possible possibly post postage postal potential pound pounds prefer preferred prepaid prepare present
presumably previous previously price prices pricing primary prior priority privacy private probably problem problems
procedure proceed process processed processing product products profile program progress project promise promised
promotion prompt promptly proof proposal provide provided provider ps public purchase purchased purchases purpose put
quality quantity question questions quick quickly quote quoted quotes rain rate rates rather rating re reach reached
read ready real really reason reasons receipt receive received recent recently recipient recommend recommendation
recommendations recommended record records red reduce refer reference references refund refundable refunded refunds
regard regarding regardless regards region regret regrets regular regularly reject rejected related relevant remain
remaining remark remarks remember reminder remove renewal repair replace replaced replacement replacements reply
report request requested requests require required requirements research reservation reset resolution resolve resolved
respect respectfully respond response rest result results resume retail return returned returns review reviewed
reviews revised right rma role round rule rules sadly safe safety said sale sales same sat satisfaction saturday save
saved savings say says schedule scheduled second secondly section secure security see seem seems select selected
selection send sender sending sent sep separate separately sept september series seriously service services set
settings seven several shall share she ship shipment shipments shipped shipping shop short should shouldn't show shown
side sign signature similar similarly simple simply since sincerely single sir site situation six size sku small sms
so software sold solution some somebody someone something sometimes soon sorry source special specific specifically
specification specifications spring staff standard start started starting state statement statements status stay step
steps still stock stop storage store story street stuff subject submit submitted subsequently subtotal subtotals
successful successfully such sudden suggest suggested suggestion suggestions suitable suite sum summary summer sun
sunday supplier support sure surely surprisingly system systems take taken takes talk task tax taxes tba tbd team
technical technically technology tell ten term terms test text than thank thankfully thanks that that's the their
theirs them then there there's thereafter thereby therefore these they they'll they're thing things think third this
those though thought three through throughout thu thursday thus ticket tickets time times tip tips title tl to today
together tomorrow tonight too took top topic total totals toward towards track tracking traffic transaction
transactions transfer transferred transit transport travel tried trouble true truly trust try tue tuesday turn twelve
two type types typically ultimately under understand understandably understanding understood unfortunately unit united
units unless unlike until up update updated updates upon urgent url us usage usd use used useful user users using
usual usually valid validity valuable value valued variant variants various vat vendor verification verified verify
version very via view vip virtual visit wait waiting want warm warmest warning warranty was wasn't way ways we we'd
we'll we're we've website wed wednesday week weekend weekly weeks welcome well went were weren't what what's whatever
when whenever where whereas whether which while who whoever whole whom whose why will winter wish wishes with
withdrawal withdrawals within without women won't wonderful word words work working works worry would wouldn't write
writing written wrong year yearly years yellow yes yesterday yet you you'll you're you've your yours yourself zero zip
"""
COMMON = frozenset(_WORDS.split())
